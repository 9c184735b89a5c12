"""The fixture and the option, in a pytest of their own."""

from xml.etree import ElementTree

pytest_plugins = ["pytester"]

TESTS = """
import numpy as np

A = np.random.default_rng(0).standard_normal((20, 20)).astype(np.float32)

def test_product(rosetta):
    rosetta.assert_equivalent(A @ A, (A.T @ A.T).T, op=np.matmul, inputs=(A, A))

def test_wrong(rosetta):
    rosetta.assert_equivalent((A @ A).T, A @ A, op=np.matmul, inputs=(A, A))

def test_functions(rosetta):
    found = rosetta.compare_functions(np.fft.fft, lambda x: np.fft.fft(x), [A], reference=np.fft.fft)
    assert found.exit_code == 0, found.sentence

def test_of_something_else():
    pass
"""


def test_the_report_has_what_was_judged(pytester):
    pytester.makepyfile(TESTS)
    found = pytester.runpytest_inprocess("-p", "no:cacheprovider", "--rosetta-report", "out")
    found.assert_outcomes(passed=3, failed=1)
    found.stdout.fnmatch_lines(
        ["*likely cause: transposed*", "rosetta: 5 of 6 tensors agree*", "rosetta: report in out"]
    )
    suites = ElementTree.parse(pytester.path / "out" / "junit.xml").getroot()
    assert (suites.get("tests"), suites.get("failures")) == ("6", "1")
    page = (pytester.path / "out" / "report.html").read_text()
    assert "test_wrong" in page
    assert "transposed" in page
    assert "rosetta explain" not in page


def test_nothing_is_done_where_it_is_not_used(pytester):
    pytester.makepyfile("def test():\n    import sys\n    assert 'alexnet_rosetta.harness' not in sys.modules\n")
    found = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--rosetta-report", "out")
    found.assert_outcomes(passed=1)
    assert not (pytester.path / "out").exists()
    assert "rosetta" not in found.stdout.str().replace(str(pytester.path), "").partition("collected")[2]

"""The conformance pack: what is in it, what engines score that are known, and what hostile ones come to."""

import json
import shutil
import sys
import zipfile
from hashlib import sha256
from pathlib import Path
from subprocess import run
from xml.etree import ElementTree
from zipfile import ZipFile

import numpy as np
import pytest
from click.testing import CliRunner
from spoiled_engine import FIRST, NEXT

from alexnet_rosetta.harness import engines
from alexnet_rosetta.harness.cli.commands import cli
from alexnet_rosetta.harness.judging.verdict import judge as judge_of_harness
from alexnet_rosetta.harness.pack import judge, make
from alexnet_rosetta.harness.reference import Bounded
from alexnet_rosetta.port.config import grammar
from alexnet_rosetta.port.config.layer_types import LAYER_TYPES

HERE = Path(__file__).parent
ENGINE = HERE.parent / "spoiled_engine.py"
EXAMPLES = HERE.parents[2] / "examples" / "pack"
FEW = {("edges", "exact"): 4, ("edges", "real"): 3}


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    """The pack as it is."""
    folder = tmp_path_factory.mktemp("packs") / "pack"
    make.make(folder)
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A pack of few images and one network."""
    folder = tmp_path_factory.mktemp("packs") / "small"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make, "CASES", FEW)
        make.make(folder)
    return folder


@pytest.fixture
def own(small, tmp_path):
    return shutil.copytree(small, tmp_path / "own")


def score(pack, *command, **more):
    return judge.judge(pack, [sys.executable, *map(str, command)], **more)


def spoiled(pack, how, **more):
    return score(pack, ENGINE, pack, how, **more)


def places(found, *statuses):
    return {(row["kind"], row["pass"]) for row in found["rows"] if row["status"] in statuses}


# What is in it


def test_it_has_every_layer_type_and_is_small(pack):
    cases = [json.loads(path.read_bytes()) for path in (pack / "cases").glob("*.json")]
    kinds = {case["kind"] for case in cases}
    assert {kind.split()[0] for kind in kinds} == set(LAYER_TYPES) - {"data"}
    assert {kind.split()[1] for kind in kinds if kind.startswith("neuron")} == set(grammar.NEURONS)
    pools = next(key.one_of for key in LAYER_TYPES["pool"].keys if key.name == "pool")
    assert {kind.split()[1] for kind in kinds if kind.startswith("pool")} == set(pools)
    assert {(case["pass"], case["tier"]) for case in cases} == {(a, b) for a in judge.PASSES for b in ("exact", "real")}
    assert sum(path.stat().st_size for path in pack.rglob("*") if path.is_file()) <= 20e6
    assert all(
        facts["exact"]
        for case in cases
        for facts in case["results"].values()
        if case["pass"] == "steps" and case["tier"] == "exact"
    )
    formulas = (pack / "formulas.txt").read_text(encoding="utf-8")
    assert [word for word in ("logreg:", "cost.msm", "rgb2lab", "rscale", "superEps") if word not in formulas] == []
    for case in cases:
        for facts in (case["arrays"] | case["results"]).values():
            assert np.prod(facts["shape"]) == np.prod([*facts["axes"].values()]), case["name"]


def test_the_same_seed_gives_the_same_bytes(small, tmp_path, monkeypatch):
    monkeypatch.setattr(make, "CASES", FEW)
    again = make.contents(0)
    assert {name: data for name, data in again.items() if (small / name).read_bytes() != data} == {}
    assert again["pack.json"] != make.contents(1)["pack.json"]
    count, size = make.make(tmp_path / "pack.zip")
    with zipfile.ZipFile(tmp_path / "pack.zip") as archive:
        assert {info.filename: archive.read(info) for info in archive.infolist()} == again
    assert (count, size) == (len(again) // 3 - 1, sum(map(len, again.values())))


# What engines score


WRONG = {("conv", "forward"), ("conv", "weight gradient"), ("pool avg", "forward"), ("cmrnorm", "forward")}
DEFECTS = {("rgb2lab", "forward"), ("cnorm", "input gradient"), ("fc", "update")}


@pytest.mark.parametrize(
    ("words", "fails", "level", "of_supported"),
    [
        (("adapter.py", "port"), set(), "N steps", "N steps"),
        (("adapter.py", "legacy-cpu"), DEFECTS, "exact forward", "exact forward"),
        pytest.param(("adapter.py", "legacy-cpu+as-meant"), set(), "N steps", "N steps", marks=pytest.mark.slow),
        (("engine.py",), set(), "", "N steps"),
        (("engine.py", "--wrong"), WRONG, "", "shapes"),
        pytest.param(("adapter.py", "torch"), {("pool max", "input gradient")}, "", "real forward",
                     marks=pytest.mark.witness),
    ],
)  # fmt: skip
def test_scores_are_known_in_advance(pack, words, fails, level, of_supported):
    if words[-1] == "torch" and not engines.find("torch").probe()[0]:
        pytest.skip("torch is not installed")
    found = score(pack, EXAMPLES / words[0], *words[1:])
    assert places(found, "different") == fails
    assert {row["status"] for row in found["rows"]} <= {"identical", "equivalent", "unsupported", "different"}
    assert (found["level"], found["level_of_supported"]) == (level, of_supported)
    assert found["exit_code"] == (1 if fails else 3 if "unsupported" in found["counts"] else 0)
    if words[0] == "adapter.py" and words[1] != "torch":
        assert "unsupported" not in found["counts"]


def test_the_judge_needs_numpy_and_nothing_else(small, tmp_path):
    """An interpreter without site-packages, but for NumPy, and a copy of the pack elsewhere."""
    (tmp_path / "only").mkdir()
    package = Path(np.__file__).parent
    for path in (package, package.with_name("numpy.libs")):
        if path.exists():
            (tmp_path / "only" / path.name).symlink_to(path)
    shutil.copytree(small, tmp_path / "pack")
    words = ["judge.py", "pack", "--", sys.executable, str(ENGINE), "pack", "none"]
    program = f"""
import runpy, sys
sys.path.append({str(tmp_path / "only")!r})
sys.argv = {words!r}
try:
    runpy.run_path("pack/judge.py", run_name="__main__")
finally:
    ours = {{name.split(".")[0] for name in sys.modules}} - sys.stdlib_module_names - {{"numpy", "__main__"}}
    print("others:", sorted(name for name in ours if getattr(sys.modules.get(name), "__spec__", None)))
"""
    ended = run([sys.executable, "-I", "-S", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.splitlines()[-2:] == ["level reached: N steps", "others: []"]


def test_its_rule_is_that_of_the_harness():
    random = np.random.default_rng(0)
    special = [0.0, -0.0, 1.0, np.inf, -np.inf, np.nan, 3.4e38, 1e-42, 1e-38, -2.5]
    statuses = set()
    for trial in range(600):
        size = int(random.integers(1, 9))
        value = random.choice(special, size) if trial % 3 else random.standard_normal(size)
        actual = np.where(random.random(size) < 0.7, value, random.choice(special, size))
        with np.errstate(all="ignore"):
            actual = (actual * random.choice([1, 1, 1 + 1e-6, 1.01], size)).astype(np.float32)
        magnitude = random.choice([0, 0, 1e-30, 1.0, 1e4, 1e38, np.inf] if trial % 4 else [0], size)
        terms = random.integers(0, 50, size) * (trial % 5 > 0)
        with np.errstate(all="ignore"):
            theirs = judge_of_harness(Bounded(value, magnitude, terms), actual)
        status, share, at = judge.verdict(actual, value, magnitude, terms)
        assert (status, share) == (theirs.status, theirs.share), (value, actual, magnitude, terms)
        assert theirs.worst is None or theirs.worst.index == (at,)
        statuses.add(status)
    assert statuses == {"identical", "equivalent", "inconclusive", "different", "nonfinite"}


# Hostile engines


HOW = (
    ("nothing", "missing", "did not write"),
    ("crash", "failed", "exit code 3; its last line: ?[31mno such luck"),
    ("signal", "failed", "signal 11"),
    ("hang", "failed", "no new result within"),
    ("garbage", "failed", "BadZipFile"),
    ("pipe", "failed", "no plain file"),
    ("folder", "failed", "no plain file"),
    ("endless", "failed", "no plain file"),
    ("bomb", "shape", "(1099511627776,) in place of"),
    ("short", "failed", "another length"),
    ("lying", "failed", "another length"),
    ("pickle", "shape", "(1,) in place of"),
    ("nan", "nonfinite", "nan in place of"),
    ("value", "different", "in place of"),
    ("flip", "shape", "in place of"),
    ("double", "dtype", "<f8 in place of <f4"),
    ("big-endian", "dtype", ">f4 in place of <f4"),
    ("extra", "extra", "nobody asked"),
    ("renamed", "missing", "did not write"),
)
"""How a result is spoiled, what is found, and what is said of it."""


@pytest.fixture(scope="module")
def all_spoiled(small):
    """One run in which results of several cases are spoiled, each in another way."""
    return spoiled(small, ",".join(how for how, *_ in HOW), patience=1.5)


@pytest.mark.parametrize("number", range(len(HOW)), ids=[how for how, *_ in HOW])
def test_a_spoiled_result_is_found(small, all_spoiled, number):
    _, status, says = HOW[number]
    name = sorted(path.stem for path in (small / "cases").glob("*.json"))[FIRST + NEXT * number]
    rows = [row for row in all_spoiled["rows"] if row["name"] == name]
    assert status in {row["status"] for row in rows}
    assert any(says in row["reason"] for row in rows), rows


def test_no_other_result_is_blamed(small, all_spoiled):
    wrong = {row["name"] for row in all_spoiled["rows"] if row["status"] not in judge.AGREES}
    assert len(wrong) == len(HOW)
    assert (all_spoiled["exit_code"], all_spoiled["level"]) == (1, "")
    assert all("\x1b" not in line for line in judge.card(all_spoiled))


def test_an_end_that_is_no_good_one_fails_though_all_is_written(small):
    found = spoiled(small, "late")
    reasons = {row["reason"] for row in found["rows"] if row["status"] == "failed"}
    assert (found["exit_code"], reasons) == (1, {"the command ended with exit code 4"})


def test_numbers_may_lie_in_the_other_order(small):
    assert spoiled(small, "fortran")["exit_code"] == 0


def test_a_command_that_never_writes_is_not_started_for_every_case(small, tmp_path):
    found = score(small, "-c", f"open({str(tmp_path / 'starts')!r}, 'a').write('x'); raise SystemExit(7)")
    assert (tmp_path / "starts").read_text() == "x" * judge.IN_VAIN
    assert set(found["counts"]) == {"failed"}
    assert (found["level"], found["exit_code"]) == ("", 1)
    assert {row["reason"] for row in found["rows"]} >= {"not run: the command ended too early 3 times"}


def test_what_prints_without_end_is_ended(small, monkeypatch):
    monkeypatch.setattr(judge, "LARGEST", 2**20)
    assert any("prints without end" in row["reason"] for row in spoiled(small, "shout")["rows"])


def test_unsupported_is_never_green(small):
    found = spoiled(small, "unsupported")
    assert (found["exit_code"], found["level"], found["level_of_supported"]) == (3, "", "N steps")
    assert "too ?[31mred for me" in {row["reason"] for row in found["rows"]}
    assert spoiled(small, "unsupported", allow=["unsupported"])["exit_code"] == 0
    refuses = "import pathlib, sys\nfor case in pathlib.Path(sys.argv[1]).glob('*.json'):\n"
    refuses += "    pathlib.Path(sys.argv[2], case.stem + '.unsupported').touch()"
    nothing = score(small, "-c", refuses, allow=["unsupported"])
    assert (nothing["exit_code"], nothing["level"]) == (3, "")
    assert not any("✓" in line for line in judge.card(nothing) if line[0] != " ")


# Broken packs


def sealed(pack):
    lines = [f"{sha256(path.read_bytes()).hexdigest()}  {path.relative_to(pack).as_posix()}\n"
             for path in sorted(pack.rglob("*")) if path.is_file() and path.name != judge.MANIFEST]  # fmt: skip
    (pack / judge.MANIFEST).write_text("".join(lines))


def other_byte(pack):
    path = sorted((pack / "expected").iterdir())[5]
    path.write_bytes(path.read_bytes()[:-1] + b"x")


def nonsense(pack):
    np.savez(sorted((pack / "expected").iterdir())[5], other=np.ones(3))
    sealed(pack)


def of_the_future(pack):
    path = pack / judge.CONTENTS
    path.write_bytes(path.read_bytes().replace(b'"format": 1', b'"format": 2'))
    sealed(pack)


def without_cases(pack):
    (pack / judge.CONTENTS).write_text('{"format": 1, "cases": []}')
    sealed(pack)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (other_byte, "its hash is another one"),
        (lambda pack: sorted((pack / "cases").iterdir())[0].unlink(), "FileNotFoundError"),
        (lambda pack: (pack / judge.MANIFEST).unlink(), "FileNotFoundError"),
        (lambda pack: (pack / judge.MANIFEST).write_text("0  ../../etc/passwd\n"), "the manifest lists"),
        (lambda pack: (pack / judge.CONTENTS).write_text("{"), "its hash is another one"),
        (nonsense, "KeyError"),
        (of_the_future, "another format than 1"),
        (without_cases, "no cases"),
        (lambda pack: shutil.rmtree(pack), "no pack that can be read"),
    ],
)
def test_a_broken_pack_is_refused(own, small, spoil, says, capsys):
    spoil(own)
    words = [sys.executable, str(ENGINE), str(small), "none"]
    assert judge.main([str(own), "--", *words]) == 2
    printed = capsys.readouterr()
    assert (printed.out, says in printed.err, printed.err.count("\n")) == ("", True, 1), printed.err


def test_a_zip_file_that_is_no_pack_is_called_by_its_own_name(tmp_path, capsys):
    with ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme.txt", "something else")
    assert judge.main([str(tmp_path / "other.zip"), "--", "true"]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"error: {tmp_path / 'other.zip'} is no pack that can be read")
    assert "rosetta-" not in printed.removeprefix(f"error: {tmp_path}")


def test_what_a_pack_of_others_says_is_shown_as_letters(own, tmp_path):
    path = sorted((own / "cases").glob("*.json"))[3]
    case = json.loads(path.read_bytes())
    case["kind"] += "\x1b[31m\x00"
    for facts in case["results"].values():
        facts["axes"] = {f"{name}\x1b": length for name, length in facts["axes"].items()}
    path.write_text(json.dumps(case))
    sealed(own)
    found = spoiled(own, "value")
    assert found["exit_code"] == 1
    assert not [line for line in judge.card(found) if not line.isprintable()]
    judge.write(found, tmp_path)
    assert ElementTree.parse(tmp_path / "junit.xml").getroot().get("tests") == str(len(found["rows"]))


# The command


def rosetta(*words):
    found = CliRunner().invoke(cli, [str(word) for word in words])
    return found.exit_code, found.output


def test_the_command_makes_and_judges(small, tmp_path, monkeypatch):
    monkeypatch.setattr(make, "CASES", FEW)
    code, printed = rosetta("pack", "make", "--out", tmp_path / "pack.zip")
    assert (code, "cases, " in printed) == (0, True), printed
    engine = f"{sys.executable} {ENGINE} {small} value"
    code, _ = rosetta("pack", "judge", tmp_path / "pack.zip", "--engine", engine, "--out", tmp_path / "score")
    assert code == 1
    suite = ElementTree.parse(tmp_path / "score" / "junit.xml").getroot()
    written = json.loads((tmp_path / "score" / "score.json").read_bytes())
    assert len(suite.findall("testcase")) == len(written["rows"]) == int(suite.get("tests"))
    assert len(suite.findall("testcase/failure")) == 1
    there = "make", "--out", tmp_path / "pack.zip"
    for words in (there, ("judge", small, "--engine", "no-such"), ("judge", small, "--engine", "'"),
                  ("judge", tmp_path, "--engine", "true")):  # fmt: skip
        code, printed = rosetta("pack", *words)
        assert (code, printed.count("\n")) == (2, 1), printed

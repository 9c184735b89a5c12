"""`rosetta check gpu` with the CPU in the card's place, and what it says where there is no card."""

import json
import stat
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
from click.testing import CliRunner

from alexnet_rosetta.harness.checks import gpu as gpu_check
from alexnet_rosetta.harness.checks.golden import files
from alexnet_rosetta.harness.checks.gpu import check, golden, small_kernels, steps
from alexnet_rosetta.harness.checks.gpu.evidence import Evidence, read
from alexnet_rosetta.harness.checks.gpu.job import Job, Settings
from alexnet_rosetta.harness.checks.gpu.target import Target
from alexnet_rosetta.harness.cli.commands import cli
from alexnet_rosetta.harness.engines.legacy import EntryPoints, LegacyGpu, LegacySession
from alexnet_rosetta.harness.errors import BadInput, NothingCompared

GOLDEN = Path(__file__).parents[2] / "golden"
FACTS = {"device": "gpu", "card": {"name": "a card"}, "build": {"version": "1"}}


@pytest.fixture
def few(tmp_path):
    """A folder with two recorded files, one of them of convolutions."""
    folder = tmp_path / "golden"
    (folder / "fma").mkdir(parents=True)
    for name in ("convFilterActs.npz", "fma/convFilterActs.npz", "computeLogregGrad.npz"):
        (folder / name).write_bytes((GOLDEN / name).read_bytes())
    return folder


@pytest.fixture
def small(few):
    return Settings(few, {"alexnet": 2, "cifar": 4, "zoo": 4}, {"tiny": 4}, steps=4, repeat=1, bench="cifar")


def job(settings, **more):
    return Job(Target("cpu"), settings, **more)


def run_part(name, settings):
    part = check.run_part(name, job(settings))
    json.dumps(part)
    return part


def test_golden_cases_are_counted_and_all_outputs_compared_bit_for_bit(small):
    part = run_part("golden", small)
    assert (part["status"], part["problems"]) == ("passed", [])
    numbers = part["numbers"]
    cases = sum(len(files.read(path)) for path in files.paths(small.golden))
    assert sum(numbers["cases"].values()) == cases
    assert set(numbers["bits"]) == {"convFilterActs", "computeLogregGrad"}
    assert all(set(counts) == {"bits of legacy-cpu"} for counts in numbers["bits"].values())
    assert numbers["exceptions"] == []


class LastBit(EntryPoints):
    """Entry points whose outputs are off by some units in the last place."""

    units = 1

    def call(self, entry, arguments):
        outcome = super().call(entry, arguments)
        return replace(outcome, outputs=tuple(map(self.moved, outcome.outputs)))

    def moved(self, output):
        step = np.where(np.isfinite(output) & (output != 0), np.spacing(output), np.float32(0))
        return output + np.float32(self.units) * step


def test_other_bits_are_exceptions_with_the_kernel_and_wrong_numbers_are_problems(small, monkeypatch):
    module = Target("cpu").twin().isa
    monkeypatch.setattr(Target, "entry_points", lambda self: LastBit(module))
    part = run_part("golden", small)
    assert part["status"] == "passed"  # inside the bound
    assert part["numbers"]["bits"]["convFilterActs"]["other bits"] > golden.LISTED
    listed = {entry: [case for case in part["numbers"]["exceptions"] if case["entry"] == entry]
              for entry in ("convFilterActs", "computeLogregGrad")}  # fmt: skip
    assert [len(cases) for cases in listed.values()] == [golden.LISTED, golden.LISTED]
    first = listed["convFilterActs"][0]
    assert first["kernels"][0].startswith("filterActs_")
    assert first["elements"] <= first["of"]
    assert first["functions"] == []  # a convolution only multiplies and adds
    assert "fastDivide" in listed["computeLogregGrad"][0]["functions"]
    monkeypatch.setattr(LastBit, "units", 2**14)
    part = run_part("golden", small)
    assert part["status"] == "failed"
    assert part["problems"][0].startswith("c")  # the file


@pytest.mark.parametrize("stem", ["convFilterActs", "convWeightActs", "convImgActs", "localWeightActs"])
def test_convolution_bounds_count_every_product_once(stem):
    twin = Target("cpu").twin()
    case = next(case for case in files.read(GOLDEN / f"{stem}.npz") if not case.refused)
    terms, magnitude = golden.convolution_bound(case, "targets", twin)
    arrays = [np.abs(array).max() for name, array in case.arrays.items() if name.startswith("in_")]
    assert terms.shape == magnitude.shape == case.arrays["out_targets"].shape
    assert terms.min() >= 1
    assert np.array_equal(terms, terms.round())
    scale = max(1.0, *(abs(value) for key, value in case.about["scalars"].items() if key.startswith("scale")))
    assert (magnitude <= scale * (terms + 1) * max(arrays) ** 2 + max(arrays)).all()


@pytest.mark.parametrize("name", ["exact", "cifar", "zoo"])
def test_networks_are_compared(small, name):
    part = run_part(name, small)
    assert (part["status"], part["problems"]) == ("passed", [])
    found = part["numbers"]["tiny"] if name == "exact" else part["numbers"]
    assert found["rows"][0].keys() == {"layer", "pass", "tensor", "verdicts", "quirks", "bits_that_differ"}
    assert sum(found["verdicts"]["port"].values()) == len(found["rows"]) == found["tensors"]
    assert "tensors agree" in found["sentence"]


def test_a_difference_fails_the_part(small, monkeypatch):
    read_tensor = LegacySession.read

    def read_wrong(self, layer, tensor):
        return read_tensor(self, layer, tensor) + (layer == "conv1" and tensor == "acts")

    monkeypatch.setattr(LegacySession, "read", read_wrong)
    part = run_part("exact", small)
    assert part["status"] == "failed"
    assert any("legacy-cpu conv1 forward acts is different" in problem for problem in part["problems"])


def test_repeated_steps_give_the_same_bits(small):
    part = run_part("steps", small)
    assert (part["numbers"]["steps"], part["numbers"]["different_results"]) == (4, 1)
    assert list(part["numbers"]["memory_bytes"]) == ["after 3 steps", "after 4 steps"]


def test_other_bits_and_growing_memory_are_problems(small):
    card = type("Card", (), {"noise": 0})
    found = job(small)
    found.numbers |= {"steps": 10, "different_results": 2}
    steps.judge(found, 4096, card)
    assert found.problems == ["10 equal steps gave 2 results", "memory grew by 4096 bytes in 10 steps"]


def test_bench_numbers(small):
    part = run_part("bench", small)
    numbers = part["numbers"]
    assert part["status"] == "passed"
    first = numbers["layers"][0]
    assert (first["layer"], first["pass"]) == ("conv1", "forward")
    assert set(first["seconds"]) == {"legacy-cpu", "port"}
    assert "torch-gpu" in numbers["unavailable"] or "torch-gpu" in numbers["images_per_second"]
    assert [round(rate) for rate in numbers["images_per_second_2012_two_gtx_580_derived"]] == [208, 250]


def test_kernels_are_collected_once_each(small, monkeypatch):
    small = replace(small, batches={"cifar": 4})
    compiled = []
    monkeypatch.setattr("alexnet_rosetta.harness.engines.card.Processor.prepare",
                        lambda self, launches: compiled.extend(launches) or len(launches))  # fmt: skip
    part = run_part("kernels", small)
    assert part["numbers"]["compiled"] == part["numbers"]["instances"] == len(compiled)
    names = [(record["kernel"], *map(type, record["args"])) for record in compiled]
    assert len(names) == len(set(names))
    assert any(name.startswith("filterActs_") for name, *_ in names)


def test_small_cases_reach_every_recorded_kernel():
    recorded = {kernel.split("<")[0] for path in files.paths(GOLDEN) for case in files.read(path)
                if not case.refused for kernel, _, _ in case.launches()}  # fmt: skip
    cases = small_kernels.small_cases(GOLDEN)
    assert set(cases) == recorded


@pytest.fixture
def fake_sanitizer(tmp_path, monkeypatch):
    """A compute-sanitizer that runs the program and reports what the test wants."""

    def install(report):
        script = tmp_path / "bin" / "compute-sanitizer"
        script.parent.mkdir()
        script.write_text(
            textwrap.dedent(f"""\
            #!/bin/sh
            shift 4
            "$@" || exit $?
            echo "========= {report}"
            """)
        )
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{script.parent}:/usr/bin:/bin")

    return install


@pytest.mark.parametrize(("report", "status", "errors"), [
    ("ERROR SUMMARY: 0 errors", "passed", 0),
    ("RACECHECK SUMMARY: 3 hazards displayed (3 errors, 0 warnings)", "failed", 3),
    ("Device not supported", "failed", None),
])  # fmt: skip
def test_sanitizer_reports(small, fake_sanitizer, report, status, errors, monkeypatch):
    fake_sanitizer(report)
    monkeypatch.setattr("alexnet_rosetta.harness.checks.gpu.sanitizer.TOOLS", ("memcheck",))
    part = run_part("sanitizer", small)
    assert (part["status"], part["numbers"]["memcheck"]["errors"]) == (status, errors)
    assert part["numbers"]["memcheck"]["kernels"] > 0


def test_without_a_sanitizer_the_part_fails(small, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    part = run_part("sanitizer", small)
    assert part["status"] == "failed"
    assert "compute-sanitizer was not found" in part["summary"]


def test_parts_of_several_runs_end_up_in_one_file(small, tmp_path):
    out, said = tmp_path / "evidence.json", []
    settings = {"device": "cpu", "settings": small}
    assert gpu_check.check_gpu(out, said.append, ["steps"], **settings) == 0
    assert gpu_check.check_gpu(out, said.append, ["golden"], **settings) == 0
    found = read(out)
    assert list(found["parts"]) == ["steps", "golden"]
    assert (found["format"], found["version"], found["device"]) == ("alexnet-rosetta gpu evidence", 1, "cpu")
    assert {"name", "architecture"} <= set(found["card"])
    assert said[-1].startswith("1 of 1 parts passed")
    assert [path.name for path in tmp_path.glob("*evidence*")] == ["evidence.json"]  # and no drafts


def test_a_time_limit_ends_parts_and_keeps_what_they_found(small, tmp_path):
    part = check.run_part("golden", job(small, deadline=perf_counter()))
    assert (part["status"], part["summary"]) == ("incomplete", "the time limit was reached")
    out = tmp_path / "evidence.json"
    assert gpu_check.check_gpu(out, lambda line: None, ["golden"], time_limit=0, device="cpu", settings=small) == 1
    assert read(out)["parts"]["golden"]["status"] == "incomplete"


def test_an_evidence_file_is_about_one_card(tmp_path):
    path = tmp_path / "evidence.json"
    Evidence(path, FACTS).add("golden", {"status": "passed", "largest": float("inf")})
    assert read(path)["parts"]["golden"]["largest"] == "inf"
    assert Evidence(path, FACTS).parts
    with pytest.raises(BadInput, match="is about another card"):
        Evidence(path, FACTS | {"card": {"name": "another"}})
    path.write_text("{}")
    with pytest.raises(BadInput, match="no evidence file of this version"):
        Evidence(path, FACTS)


def test_nothing_is_written_where_the_folder_is_missing(tmp_path):
    with pytest.raises(BadInput, match="is no folder"):
        Evidence(tmp_path / "missing" / "evidence.json", FACTS)


def test_an_unknown_part_names_the_others(tmp_path):
    with pytest.raises(BadInput, match="parts: kernels, golden, exact, alexnet, cifar, zoo, sanitizer, steps, bench"):
        gpu_check.check_gpu(tmp_path / "evidence.json", print, ["speed"], device="cpu")


def test_without_a_card_one_sentence_and_code_3(tmp_path, monkeypatch):
    monkeypatch.setattr(LegacyGpu, "probe", lambda self: (False, "no CUDA driver"))
    with pytest.raises(NothingCompared, match="legacy-gpu is unavailable: no CUDA driver"):
        gpu_check.check_gpu(tmp_path / "evidence.json", print)
    result = CliRunner().invoke(cli, ["check", "gpu", "--out", str(tmp_path / "evidence.json")])
    assert result.exit_code == 3
    assert result.output.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_the_command_takes_parts(small, tmp_path):
    out = tmp_path / "evidence.json"
    arguments = ["check", "gpu", "--device", "cpu", "--only", "steps,golden", "--steps", "2", "--out", str(out)]
    result = CliRunner().invoke(cli, [*arguments, "--golden", str(small.golden)])
    assert result.exit_code == 0, result.output
    assert list(read(out)["parts"]) == ["golden", "steps"]
    assert sys.executable

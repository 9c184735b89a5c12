"""`rosetta check layers`: pairing, records, refusals, differences and the sentence about all of it."""

import gzip
import json

import pytest
from click.testing import CliRunner
from quirk_nets import CASES
from small_nets import DEFINITION, PARAMS, BentFilter, Faulty, NoPooling, write_net

from alexnet_rosetta.harness import engines, machine
from alexnet_rosetta.harness.checks.layers import pairs
from alexnet_rosetta.harness.cli.commands import cli
from alexnet_rosetta.harness.engines.reference import Reference, ReferenceSession
from alexnet_rosetta.harness.errors import BadInput, Unsupported
from alexnet_rosetta.harness.network import implied as dataset
from alexnet_rosetta.harness.network import load as networks


def check(folder, *more, engine="reference"):
    return CliRunner().invoke(cli, ["check", "layers", *map(str, (folder, "--engines", engine, "--batch", 4, *more))])


def write(folder, **texts):
    for name, text in texts.items():
        (folder / f"{name.replace('_', '-')}.cfg").write_text(text)


def record(folder, change=lambda layers: layers):
    """Write a record of the small network as it is loaded, changed."""
    write_net(folder)
    network = networks.load(folder / "small.cfg")
    layers = change({layer.name: layer.to_dict() for layer in network.layers})
    facts = {"small.cfg + small-params.cfg": {"dims": [192, 1], "classes": 10, "layers": layers}}
    (folder / pairs.RECORD).write_bytes(gzip.compress(json.dumps(facts).encode()))


def double(monkeypatch, session):
    """Make an engine called `double` of a test session."""
    real = engines.find
    monkeypatch.setattr(engines, "find", lambda name: Faulty(session) if name == "double" else real(name))


def test_pairs_by_name(tmp_path):
    write(tmp_path, layers_a="", layer_params_a="", layer_params_a_slow="", layers_ab="", layer_params_z="")
    write(tmp_path, layer_params_b="# uses def file a\n", mine="", mine_params="")
    (tmp_path / "sub").mkdir()
    write(tmp_path / "sub", layer_params_a="")
    found, alone = pairs.find(tmp_path)
    assert [pair.name for pair in found] == [
        "layers-a.cfg + layer-params-a-slow.cfg",
        "layers-a.cfg + layer-params-a.cfg",
        "layers-a.cfg + layer-params-b.cfg",
        "layers-ab.cfg",
        "mine.cfg + mine-params.cfg",
    ]
    assert [path.relative_to(tmp_path).as_posix() for path in alone] == ["layer-params-z.cfg", "sub/layer-params-a.cfg"]
    assert [pair.name for pair in pairs.find(tmp_path, ["slow", "mine"])[0]] == [found[0].name, found[4].name]


def test_a_folder_with_its_record(tmp_path):
    record(tmp_path)
    result = check(tmp_path)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert "  accepted as 'device' at [conv1] gpu and 6 more: gpu is missing" in result.output
    count = pairs.count(pairs.recorded(tmp_path)[0].layers)
    assert f"  {count} of {count} derived values are as recorded" in lines
    assert lines[-2].startswith(f"✓ small.cfg + small-params.cfg     10 {count} = record ")
    assert lines[-2].endswith(" agrees")
    assert lines[-1].startswith("1 of 1 pairs agree. 37 of 37 tensors agree")


def test_a_value_that_is_not_as_recorded_is_named(tmp_path):
    def change(layers):
        layers["fc1"]["outputs"] = 13
        del layers["pool1"]["sizeX"]
        return layers | {"more": {}}

    record(tmp_path, change)
    result = check(tmp_path, "--load-only")
    assert result.exit_code == 1
    for line in (
        "  ! [more] is missing",
        "  ! [fc1] outputs: expected 13, actual 12",
        "  ! [pool1] sizeX: is not in the record",
    ):
        assert line in result.output.splitlines()
    assert result.output.splitlines()[-1] == "0 of 1 pairs loaded, 1 different."


def test_a_broken_file_is_refused_and_the_others_go_on(tmp_path):
    write_net(tmp_path)
    write_net(tmp_path, DEFINITION.replace("stride=2", "stride=four"), name="broken")
    result = check(tmp_path)
    assert result.exit_code == 2
    assert "  refused: broken.cfg:32: [pool1] stride: cannot be read; expected an integer" in result.output
    assert "actual 'four'" in result.output
    assert result.output.splitlines()[-1].startswith("1 of 2 pairs agree, 1 refused. 37 of 37 tensors agree")


def test_a_difference_is_found(tmp_path, monkeypatch):
    write_net(tmp_path)
    double(monkeypatch, BentFilter)
    result = check(tmp_path, engine="reference,double")
    assert result.exit_code == 1
    assert "  ! conv1 forward acts:  BentFilter: 1 of 4096 elements outside the bound; at channel 0, y" in result.output
    assert result.output.splitlines()[-1].startswith("0 of 1 pairs agree, 1 different. 73 of 74 tensors agree")


def test_a_difference_that_a_quirk_explains_is_none(tmp_path):
    write_net(tmp_path, *CASES["cnorm-ignores-means"].files())
    result = check(tmp_path, engine="legacy-cpu")
    assert result.exit_code == 0
    assert "explained by quirk cnorm-ignores-means" in result.output
    sentence = result.output.splitlines()[-1]
    assert sentence.startswith("0 of 1 pairs agree, 1 but for what quirks explain.")
    assert "no difference is unexplained" in sentence


def test_a_difference_that_only_looks_like_a_quirk_is_one(tmp_path, monkeypatch):
    class OtherSign(ReferenceSession):
        """The gradient of the cost, not of minus the cost."""

        def run_backward(self, layer, acts_grad, *more):
            grads = super().run_backward(layer, acts_grad, *more)
            return [-grad for grad in grads] if layer.name == "probs" else grads

    double(monkeypatch, OtherSign)
    write_net(tmp_path)
    result = check(tmp_path, engine="double")
    assert result.exit_code == 1
    assert "a fault that looks like gradient-ascent" in result.output


def test_what_was_not_compared_is_no_pass(tmp_path, monkeypatch):
    write_net(tmp_path)
    double(monkeypatch, NoPooling)
    result = check(tmp_path, engine="double")
    assert result.exit_code == 3
    assert "NoPooling: unsupported: this engine has no pooling" in result.output
    sentence = result.output.splitlines()[-1]
    assert sentence.startswith("0 of 1 pairs agree, 1 not compared. 35 of 37 tensors agree")
    assert ", 2 not compared" in sentence
    result = check(tmp_path, "--allow", "unsupported", engine="double")
    assert result.exit_code == 0
    assert result.output.splitlines()[-1].startswith("1 of 1 pairs agree. 35 of 37 tensors agree")


def test_an_engine_that_cannot_build_a_network_does_not_stop_the_others(tmp_path, monkeypatch):
    class Small(ReferenceSession):
        def __init__(self, network):
            raise Unsupported("this engine has 9 layers at most")

    write_net(tmp_path)
    double(monkeypatch, Small)
    result = check(tmp_path, engine="double,reference")
    assert result.exit_code == 3
    assert result.output.count("Small: unsupported: this engine has 9 layers at most") == 1
    assert "37 of 74 tensors agree" in result.output
    assert ", 37 not compared" in result.output
    assert check(tmp_path, "--allow", "unsupported", engine="double,reference").exit_code == 0
    result = check(tmp_path, "--allow", "unsupported", engine="double")
    assert result.exit_code == 3
    assert "  not compared: no engine can build this network: Small: this engine has 9 layers at most" in result.output


@pytest.mark.parametrize("free", [10**5, MemoryError()])
def test_what_is_too_large_for_the_machine_is_said(tmp_path, monkeypatch, free):
    def exhausted(self, network, threads):
        raise free

    write_net(tmp_path)
    if isinstance(free, int):
        monkeypatch.setattr(machine, "available_memory", lambda: free)
    else:
        monkeypatch.setattr(Reference, "open", exhausted)
    result = check(tmp_path)
    assert result.exit_code == 2
    assert "  too large: " in result.output
    assert result.output.splitlines()[-1] == "0 of 1 pairs agree, 1 too large."


def test_definitions_and_parameters_without_each_other(tmp_path):
    write(tmp_path, layers_a=DEFINITION, layer_params_b=PARAMS)
    result = check(tmp_path)
    assert result.exit_code == 3
    assert "layer-params-b.cfg: no layer-definition file goes with these parameters" in result.output
    assert "  not compared: no layer-parameter file goes with this definition" in result.output
    assert check(tmp_path, "--load-only").exit_code == 0


def test_records_of_the_runs(tmp_path):
    write_net(tmp_path)
    assert check(tmp_path, "--out", tmp_path / "records").exit_code == 0
    assert (tmp_path / "records" / "small.cfg___small-params.cfg" / "record.json").is_file()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not gzip", "cannot be used (BadGzipFile"),
        (gzip.compress(b"[1", mtime=0), "cannot be used (JSONDecodeError"),
        (gzip.compress(b'{"small.cfg + small-params.cfg": {}}', mtime=0), "cannot be used (KeyError"),
        (
            gzip.compress(b'{"../a.cfg + b.cfg": {}}', mtime=0),
            "'../a.cfg + b.cfg' does not name two files of the folder",
        ),
    ],
)
def test_damaged_records(tmp_path, content, message):
    write_net(tmp_path)
    (tmp_path / pairs.RECORD).write_bytes(content)
    result = check(tmp_path)
    assert result.exit_code == 2
    assert message in result.stderr


def test_folders_and_names_that_are_not_there(tmp_path):
    for folder, only in ((tmp_path / "none", ()), (tmp_path, ())):
        with pytest.raises(BadInput):
            pairs.find(folder, only)
    write_net(tmp_path)
    with pytest.raises(BadInput, match=r"no pair has 'large' in its name.*pairs: small\.cfg"):
        pairs.find(tmp_path, ["large"])


FLICKR = """
[data]\ntype=data\ndataIdx=0\ndims=48\n[tags]\ntype=data\ndataIdx=1
[fc]\ntype=fc\ninputs=data\noutputs=7\ninitW=1\nneuron=logistic\n[sure]\ntype=hs\ninputs=fc\nkeep=1
[cost]\ntype=cost.rflickr\ninputs=tags,sure
"""


def test_the_data_set_that_a_file_was_written_for(tmp_path):
    write(tmp_path, layers_flickr=FLICKR)
    assert networks.load(tmp_path / "layers-flickr.cfg").spec["tags"].outputs == 7
    write(tmp_path, layers_tree=DEFINITION.replace("fc\ninputs=drop1,fc1\noutputs=10", "treefc\ninputs=drop1"))
    write(tmp_path, layers_tree=(tmp_path / "layers-tree.cfg").read_text().replace("0.1,0.1", "0.1"))
    assert networks.load(tmp_path / "layers-tree.cfg").spec["fc2"].outputs == dataset.CLASSES


@pytest.mark.parametrize("change", [("outputs=7", "outputs=7" + "0" * 50), ("Idx=1", "Idx=-1"), ("tags,sure", "tags")])
def test_guesses_about_damaged_files_are_not_made(change):
    sections = {}
    for block in FLICKR.replace(*change).split("[")[1:]:
        name, _, rest = block.partition("]")
        sections[name] = {
            key.lower(): text for key, _, text in (line.partition("=") for line in rest.split("\n") if line)
        }
    assert dataset.implied_by(sections) == dataset.DataSet()

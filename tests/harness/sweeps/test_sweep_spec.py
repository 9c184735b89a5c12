"""From a specification to parts."""

import shutil

import pytest

from alexnet_rosetta.harness.errors import BadInput
from alexnet_rosetta.harness.network.load import SHIPPED
from alexnet_rosetta.harness.sweeps import spec


def parts(tmp_path, text):
    (tmp_path / "sweep.toml").write_text(text)
    return spec.read(tmp_path / "sweep.toml")[1]


def test_a_grid_is_every_combination(tmp_path):
    found = parts(
        tmp_path,
        """
        [compare]
        networks = ["tiny", "random:3-4"]
        engines = ["legacy-cpu,port", "torch"]
        seeds = "0-2"
        batches = [4, 8]
        quirks = ["", "port:conv-ceil-geometry=off"]
        """,
    )
    assert len(found) == len({part.key for part in found}) == 3 * 2 * 3 * 2 * 2
    assert {part.network for part in found} == {"tiny", "random:3", "random:4"}
    assert {part.options["engines"] for part in found} == {("legacy-cpu", "port"), ("torch",)}
    assert {part.options["quirks"] for part in found} == {(), ("port:conv-ceil-geometry=off",)}
    assert {part.options["threads"] for part in found} == {1}
    assert found[0].columns()["engines"] == "legacy-cpu,port"


def test_the_same_part_has_the_same_key_in_another_sweep(tmp_path):
    one = parts(tmp_path, '[compare]\nnetworks = "random:1"\nseeds = [1, 2]')
    other = parts(tmp_path, 'title = "x"\n[[compare]]\nnetworks = ["random:0-1"]\nseeds = [2]')
    assert {part.key for part in one} & {part.key for part in other} == {one[1].key}


@pytest.mark.parametrize(
    ("axis", "numbers"),
    [
        ("seeds", ['"0"', "0", "[0]", '["0"]', '"0-0"', '" 0 "']),
        ("batches", ['"4"', "4", "[4]", '["4"]', '"4-4"']),
        ("threads", ['"2"', "2", "[2]", '["2"]', '"2-2"']),
        ("levels", ['"2012"', "2012", "[2012]", '["2012"]']),
    ],
)
def test_one_number_is_taken_where_a_list_or_a_range_is(tmp_path, axis, numbers):
    """As text or as number, alone or in a list: the same part."""
    keys = {
        part.key for text in numbers for part in parts(tmp_path, f"[compare]\nnetworks = ['tiny']\n{axis} = {text}")
    }
    assert len(keys) == 1


def test_numbers_and_ranges_mix_in_a_list(tmp_path):
    found = parts(tmp_path, "[compare]\nnetworks = ['tiny']\nseeds = [7, '0-2', '5']")
    assert [part.options["seed"] for part in found] == [7, 0, 1, 2, 5]


def test_folders_and_files_travel_as_texts(tmp_path):
    (tmp_path / "nets").mkdir()
    for name in ("tiny.cfg", "tiny-params.cfg"):
        shutil.copy(SHIPPED / name, tmp_path / "nets" / name)
    folder, file = parts(tmp_path, '[compare]\nnetworks = ["nets", "nets/tiny.cfg"]')
    assert folder.texts == file.texts
    assert folder.texts[0] == (SHIPPED / "tiny.cfg").read_text()
    assert (folder.network, file.network) == ("tiny.cfg + tiny-params.cfg", "nets/tiny.cfg")


def test_checks_are_split(tmp_path):
    text = '[check.faults]\nparts = 7\n[check.grads]\nnetworks = ["tiny", "zoo"]\n[check.layers]\nfolder = '
    found = parts(tmp_path, f'{text}"{SHIPPED}"')
    faults = [part for part in found if part.check == "faults"]
    names = [name for part in faults for name in part.names]
    assert (len(faults), len(names)) == (7, len(set(names)))
    assert sorted(names) == sorted(fault.name for fault in spec.FAULTS)
    mutants = parts(tmp_path, "[check.mutants]\nparts = 5")
    assert [part.network for part in mutants] == [f"mutants {k} of 5" for k in range(1, 6)]
    assert sorted(name for part in mutants for name in part.names) == [
        path.relative_to(spec.ROOT).as_posix() for path in spec.files()
    ]
    assert [part.network for part in found if part.check == "grads"] == ["tiny", "zoo"]
    assert {part.names for part in found if part.check == "layers"} >= {("tiny.cfg + tiny-params.cfg",)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[compare", "cannot be read"),
        ("", "asks for nothing"),
        ("[compare]\nnetworks = ['tiny']\nseed = 1", "there is no 'seed'; hint: did you mean seeds"),
        ("[compare]\nnetworks = ['tinny']", "there is no network 'tinny'.*did you mean tiny"),
        ("[compare]\nnetworks = ['tiny']\nbatches = [0]", "a batch of 0"),
        ("[compare]\nnetworks = ['tiny']\nbatches = ['a']", "batch is of the wrong kind"),
        ("[compare]\nnetworks = ['tiny']\nseeds = ['1', '3-1']", "the range '3-1' ends before.*expected 1-3"),
        ("[compare]\nnetworks = ['tiny']\nseeds = [1, 9223372036854775808]", "no table of results holds such a seed"),
        ("[compare]\nnetworks = ['random:3-1']", "the range '3-1' ends before"),
        ("[compare]\nnetworks = ['tiny']\nseeds = '-1'", "seed is of the wrong kind"),
        ("[compare]\nnetworks = ['tiny']\nseeds = true", "seed is of the wrong kind"),
        ("[compare]\nnetworks = ['tiny']\nseeds = 1.5", "seed is of the wrong kind"),
        ("[compare]\nnetworks = ['tiny']\nmodes = 'x'", "there is no mode 'x'"),
        ("[compare]\nnetworks = ['tiny']\nseeds = '0-999999'", "asks for 100,001 parts"),
        ("compare = 3", "there is no 3"),
        ("[check.power]", "there is no 'power'"),
        ("[check.mutants]\nparts = 0", "check mutants: parts is no whole number"),
        ("[check]\nlayers = 1", "there is no 1"),
        ("[check.faults]\nparts = 'x'", "parts is no whole number"),
        ("[check.layers]\nfolder = 'none'", "is no folder"),
    ],
)
def test_what_there_is_not_is_refused(tmp_path, text, message):
    with pytest.raises(BadInput, match=message):
        parts(tmp_path, text)

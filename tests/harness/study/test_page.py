"""The Rosetta page: whole, offline, escaped, true to launches, record, rules and the reader's copy of the release."""

import re
from functools import cache
from hashlib import sha256
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner
from executable_lines import executable
from small_nets import DEFINITION, PARAMS, write_net

from alexnet_rosetta.harness import comparison, concordance, engines
from alexnet_rosetta.harness.cli import commands as cli
from alexnet_rosetta.harness.errors import BadInput
from alexnet_rosetta.harness.network import load as networks
from alexnet_rosetta.harness.study import columns, kernels, layer, page, release, source

VOID = {"meta", "link", "img", "br", "input", "image"}


class Page(HTMLParser):
    """Elements closed out of order, identifiers, and addresses."""

    def __init__(self, text):
        super().__init__()
        self.open, self.wrong, self.ids, self.addresses, self.words = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        given = dict(attrs)
        self.ids += [given["id"]] if "id" in given else []
        self.addresses += [given[name] for name in ("href", "src") if name in given]

    def handle_startendtag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("href", "src")]

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A study of tiny with a record: {file name: text}."""
    folder = tmp_path_factory.mktemp("study")
    comparison.compare("tiny", engines=["legacy-cpu", "port"], batch=8, out=folder / "run")
    page.write(folder / "site", "tiny", batch=32, record=folder / "run")
    return {path.name: path.read_text(encoding="utf-8") for path in (folder / "site").iterdir()}


def test_every_page_is_whole_and_every_link_resolves(tiny):
    pages = {name: Page(text) for name, text in tiny.items() if name.endswith(".html")}
    assert len(pages) == len([x for x in networks.load("tiny").layers if x.type != "data"]) + 1
    for name, found in pages.items():
        assert (found.wrong, found.open) == ([], []), name
        assert len(set(found.ids)) == len(found.ids)
        for address in found.addresses:
            file, _, fragment = address.partition("#")
            if address.startswith("data:"):
                continue
            assert not re.match(r"\w+:|//", address), address
            assert file == "" or file in tiny, (name, address)
            assert not fragment or fragment in pages[file or name].ids, (name, address)


def test_nothing_is_fetched(tiny):
    for name, text in tiny.items():
        assert "@import" not in text
        assert not re.search(r"url\(", text), name
        assert "http" not in re.sub(r'xmlns="[^"]*"', "", text), name


def test_the_words_under_the_drawing_of_windows_fit_into_the_drawing(tiny):
    """The small drawing of `tiny` has the longest words: stride, padding, and windows beyond the edge."""
    (text,) = (text for file, text in tiny.items() if file.endswith("-conv1.html"))
    wide, words = re.search(
        r'viewBox="0 0 (\d+) \d+"[^>]*>(?:(?!</svg>).)*>(windows 5[^<]*nothing)<', text, re.DOTALL
    ).groups()
    assert int(wide) >= 6 * len(words)


def one(tiny, name):
    (text,) = (text for file, text in tiny.items() if file.endswith(f"-{name}.html"))
    return Page(text).text


def test_a_page_says_what_was_launched_and_why(tiny):
    text = one(tiny, "conv2b")
    for words in (
        "filterActs_YxX_sparse<4, 32, 1, 4, 2, false, false>",
        "more than 3 channels: grouped kernel",
        "legacy/host/filter_acts.cpp:",
        "1 × 128 × 1 blocks of 32 × 4 × 1 = 128 threads",
        "imgsPerThread 1 images of a thread",
        "3 phases, 2 barriers in the source",
        "shFilters 8 × 16 = 512 bytes",
        "16 of 32 filters: 2 blocks",
        "1 × 1 of 8 × 8 places",
        "sm_20, GTX 580",
        "rosetta explain tiny conv2b forward acts",
        "windows 3 × 3",
        "img_size",
        "Turn the knob",
    ):
        assert words in text, words


def test_values_of_the_record_stand_beside_their_pass(tiny):
    text = one(tiny, "conv2b")
    assert "In the record rosetta explain tiny conv2b forward acts acts legacy-cpu: " in text
    assert re.search(r"acts legacy-cpu: (identical|equivalent) range -?[\d.e-]+ … [\d.e-]+ mean", text)
    assert re.search(
        r"worst channel \d+, y \d, x \d, image \d: [-\d.e]+, reference [-\d.e]+; [\d.e-]+ of the bound", text
    )
    assert "data:image/jpeg" in tiny["layer-00-conv1.html"]


def test_the_own_setting_of_the_knob_is_lit(tiny):
    (text,) = (text for file, text in tiny.items() if file.endswith("-conv2b.html"))
    lit = re.findall(r'<tr class="lit" aria-current="true"><td>(\w+)</td><td>([\d, ]+)</td>', text)
    assert ("images", "32") in lit
    assert [knob for knob, _ in lit] == ["images", "filters", "channels"]


def test_a_quantity_has_one_class_in_all_columns(tiny):
    (text,) = (text for file, text in tiny.items() if file.endswith("-pool1.html"))
    label = re.search(r'class="(q\d+)" data-q="q\d+" aria-pressed="false">imgSize<', text)[1]
    for name in ("imgSize", "img_size"):
        assert f'<b class="{label}">{name}</b>' in text


def test_a_page_alone_with_one_pass_and_counters(tmp_path):
    kernel = "kEltwiseUnaryOp<unary::TanhOperator>"
    page.write(tmp_path / "site", "tiny", "tanh1", passes=["forward"], counted={kernel: {"reads <b>": 5}})
    assert sorted(path.name for path in (tmp_path / "site").iterdir()) == [
        "index.html", "layer-00-tanh1.html", "script.js", "style.css"
    ]  # fmt: skip
    text = (tmp_path / "site" / "layer-00-tanh1.html").read_text()
    assert 'reads &lt;b&gt; <span class="counted">5</span>' in text
    assert 'id="backward"' not in text


def test_names_of_a_layer_file_are_escaped(tmp_path):
    odd = "a<b>&quot;..'"
    net = write_net(tmp_path, *(re.sub(r"\bconv1\b", odd, text) for text in (DEFINITION, PARAMS)))
    index = page.write(tmp_path / "site", net, batch=4)
    for path in index.parent.glob("*.html"):
        found = Page(path.read_text())
        assert (found.wrong, found.open) == ([], [])
        assert "a<b>" not in path.read_text()
    assert odd in Page(index.read_text()).text


def test_an_earlier_study_is_replaced_and_nothing_else(tmp_path):
    site = tmp_path / "site"
    page.write(site, "tiny", "tanh1")
    page.write(site, "tiny", "pool1")
    assert "layer-00-pool1.html" in {path.name for path in site.iterdir()}
    assert "layer-00-tanh1.html" not in {path.name for path in site.iterdir()}
    (site / "mine.txt").write_text("mine")
    with pytest.raises(BadInput, match=r"mine\.txt"):
        page.write(site, "tiny", "tanh1")
    assert (site / "mine.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_somebody_else_s_site_stays(tmp_path):
    (tmp_path / "site").mkdir()
    for name in ("index.html", "style.css"):
        (tmp_path / "site" / name).write_text("mine")
    with pytest.raises(BadInput, match=r"its index\.html is not ours"):
        page.write(tmp_path / "site", "tiny", "tanh1")
    assert (tmp_path / "site" / "index.html").read_text() == "mine"
    (tmp_path / "link").symlink_to(tmp_path / "site")
    with pytest.raises(BadInput, match="it is no folder"):
        page.write(tmp_path / "link", "tiny", "tanh1")


def test_what_comes_into_the_folder_meanwhile_stays(tmp_path, monkeypatch):
    site = tmp_path / "site"
    page.write(site, "tiny", "tanh1")
    render = page.rendered
    monkeypatch.setattr(
        page, "rendered", lambda *names, **facts: (site / "new.txt").write_text("") or render(*names, **facts)
    )
    with pytest.raises(BadInput, match=r"new\.txt"):
        page.write(site, "tiny", "pool1")
    assert (site / "layer-00-tanh1.html").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def run(*arguments):
    return CliRunner().invoke(cli.cli, ["study", *map(str, arguments)])


def test_bad_input_is_one_line_and_nothing_is_written(tmp_path):
    comparison.compare("tiny", engines=["reference"], batch=4, passes=["forward"], out=tmp_path / "run")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for arguments, words in (
        (("tiny", "conv9"), "no layer 'conv9'"),
        (("cifar", "--record", tmp_path / "run"), "record of another network"),
        (("tiny", "--record", tmp_path / "none"), "there is no folder"),
        (("tiny", "--release", tmp_path / "empty"), "src/layer.cu"),
        (("tiny", "--pass", "sideways"), "no pass 'sideways'"),
    ):
        result = run(*arguments, "--html", tmp_path / "site")
        assert (result.exit_code, result.stdout) == (2, ""), words
        assert words in result.stderr
        assert result.stderr.count("\n") == 1
        assert not (tmp_path / "site").exists()
    assert "is no folder" in run("tiny", "--html", tmp_path / "file").stderr
    assert "needs --html" in run("tiny", "--record", tmp_path / "run").stderr


STAND_IN = (
    ["int filler;"] * 822 + ["void ConvLayer::fpropActs(int n) {", "    own<code>(n);", "}"] + ["int end;"] * 1200
)
"""A file of our own in the place of the release's, with a function where it has that one."""


@pytest.fixture
def copy(tmp_path, monkeypatch):
    path = tmp_path / "copy" / "AlexNet" / "src" / "layer.cu"
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(STAND_IN))
    monkeypatch.setitem(release.KNOWN["files"], "src/layer.cu", sha256(path.read_bytes()).hexdigest())
    return tmp_path / "copy"


def test_the_lines_of_the_release_come_from_the_readers_folder(copy, tmp_path):
    result = run("tiny", "conv2b", "--release", copy, "--html", tmp_path / "site")
    assert result.exit_code == 0, result.stderr
    text = (tmp_path / "site" / "layer-00-conv2b.html").read_text()
    assert "own&lt;code&gt;(n);" in text
    assert "release/src/layer.cu:823" in text
    assert "release of 2012" in text


def test_another_version_is_found_by_name_or_said_to_be_unknown(copy):
    path = next(copy.rglob("layer.cu"))
    path.write_text("\n".join(STAND_IN[800:]))
    found, none = release.Release(copy).pieces(["ConvLayer::fpropActs", "ConvLayer::bpropActs"])
    assert (found[0].first, found[0].lines[1]) == (23, "    own<code>(n);")
    assert "another version of src/layer.cu: found by name" in found[1]
    assert none == (None, "ConvLayer::bpropActs: not found in this version of src/layer.cu")
    assert release.Release(copy).pieces(["Weights::update"]) == [(None, "Weights::update: no file src/weights.cu")]


def test_the_functions_of_the_release_are_those_of_the_concordance():
    names = {name for family in concordance.families() for row in family.operations for name in row.release}
    assert names == set(release.KNOWN["functions"])
    assert {file for file, *_ in release.KNOWN["functions"].values()} == set(release.KNOWN["files"])
    assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in release.KNOWN["files"].values())


@cache
def session():
    """The engine with AlexNet, whose weights are nothing."""
    network = networks.load("alexnet")
    (engine,) = engines.available(["legacy-cpu"])
    opened = engine.open(network, 1)
    opened.record_launches()
    return network, opened


def share_linked(name):
    """(linked, all) executable lines of what the engine launches and the port calls for a layer of AlexNet."""
    network, opened = session()
    spec = network.graph.layers[name]
    layer.run_layer(opened, network, spec, 2, values={})
    called = set(layer.port_functions(network, spec, {}))
    found, own = set(), set()
    for step in page.PASSES:
        launched = [x["kernel"] for x in opened.launches() if (x["layer"], x["pass"]) == (name, step)]
        names = list(dict.fromkeys(kernels.name_and_arguments(kernel)[0].partition("(")[0] for kernel in launched))
        rows = columns.paired_pieces(spec.type, step, names, called)
        both = [cells for _, cells, _ in rows if cells["legacy"] and cells["port"]]
        linked = [piece for cells in both for column in ("legacy", "port") for piece in cells[column]]
        found |= {(piece.file, piece.first + k) for piece in linked for k in range(len(piece.lines))}
        pieces = [source.symbol("kernels", one) for one in names if one != columns.LIBRARY]
        pieces += [source.symbol("port", one) for one in concordance.port_functions() if one.split(".")[1] in called]
        own |= {(piece.file, number) for piece in pieces for number in executable(piece)}
    return len(own & found), len(own)


ONE_OF_EACH = ("conv1a", "conv2a", "conv3a", "conv1a_neuron", "rnorm1a", "pool1a", "fc8", "hs6a", "probs", "logprob")


@pytest.mark.parametrize("name", [x.name for x in networks.load("alexnet").layers if x.name in ONE_OF_EACH])
def test_nine_of_ten_lines_belong_to_a_linked_pair(name):
    linked, lines = share_linked(name)
    assert lines > 5
    assert linked / lines >= 0.9

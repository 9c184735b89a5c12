"""The INI dialect, rule by rule (config-format 2)."""

import pytest

from alexnet_rosetta.port.config.ini import MAX_BYTES, ConfigError, read_ini, read_source


def options(text):
    """{section: {option: text}} of a file."""
    sections, _ = read_ini(text)
    return {name: {key: option.text for key, option in section.options.items()} for name, section in sections.items()}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a=1", {"a": "1"}),
        ("a : 1 = 2", {"a": "1 = 2"}),
        ("EpsW = .01", {"epsw": ".01"}),
        ("two words = x", {"two words": "x"}),
        ("a=b ; comment", {"a": "b"}),
        ("a=b;c", {"a": "b;c"}),
        ("a=b;c ; d", {"a": "b;c ; d"}),
        ("a= ;b", {"a": ";b"}),
        ("a=b # kept", {"a": "b # kept"}),
        ('a=""', {"a": ""}),
        ("a=", {"a": ""}),
        ("a=;b \t", {"a": ";b"}),
        ("a=1 \t\nb=2\x0c", {"a": "1", "b": "2"}),
        ("a=1\n  2\n\n\t3", {"a": "1\n2\n3"}),
        ("a=1\n # not a comment", {"a": "1\n# not a comment"}),
        ("a=1\na=2", {"a": "2"}),
        ("# a=1\n;b=2\n \t\nREM c=3\nrem\nremark=4", {"remark": "4"}),
    ],
)
def test_lines(line, expected):
    assert options("[s]\n" + line) == {"s": expected}


def test_headers():
    text = "[ a b ] junk\nx=1\n[B]]\n[b]\n[ a b ]\ny=2\n"
    assert options(text) == {" a b ": {"x": "1", "y": "2"}, "B": {}, "b": {}}


def test_default_section_is_seen_everywhere_and_is_no_layer():
    sections, _ = read_ini("[DEFAULT]\ngpu=1\n[a]\n[b]\ngpu=2\n[default]\n")
    assert list(sections) == ["a", "b", "default"]
    assert [sections[name].find("GPU").text for name in sections] == ["1", "2", "1"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends(end):
    assert options(end.join(["[s]", "a=1", "", "b=2"])) == {"s": {"a": "1", "b": "2"}}


def test_repetitions_are_reported():
    _, warnings = read_ini("[s]\na=1\na=2\n[s]\na=3\n", "f.cfg")
    assert [warning.split(": ")[0] for warning in warnings] == ["f.cfg:3", "f.cfg:4", "f.cfg:5"]


def test_line_numbers():
    sections, _ = read_ini("# first\n[s]\n\na=1\n")
    assert (sections["s"].line, sections["s"].find("a").line) == (2, 4)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a=1\n", 1),
        ("\nano[conv1a]\n", 2),
        ("[s]\nno delimiter\n", 2),
        ("[s]\n=1\n", 2),
        ("[s]\n=a:1\n", 2),
        ("[s]\n:a=1\n", 2),
        ("[s]\n indented=1\n", 2),
        ("[]\n", 1),
        ("[s]\na=1\n[unclosed\n[t\n", 3),
    ],
)
def test_bad_lines(text, line):
    with pytest.raises(ConfigError) as caught:
        read_ini(text, "f.cfg")
    assert str(caught.value).startswith(f"f.cfg:{line}: ")


def test_interpolation_is_refused_where_a_value_is_used():
    sections, _ = read_ini("[s]\na=%(b)s\nb=1\n")
    assert sections["s"].find("b").text == "1"
    with pytest.raises(ConfigError, match="'%' is not allowed"):
        sections["s"].find("a")


def test_sources(tmp_path):
    path = tmp_path / "latin.cfg"
    path.write_bytes(b"[s]\na=\xe9\n")
    assert read_source(path) == ("[s]\na=\xe9\n", "latin.cfg")
    assert read_source("[s]\n") == ("[s]\n", "<text>")
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    for source in (path, tmp_path, tmp_path / "absent.cfg", "nul\0.cfg"):
        with pytest.raises(ConfigError) as caught:
            read_source(source)
        assert "\n" not in str(caught.value)

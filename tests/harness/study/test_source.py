"""Pieces of source are found by name and by expressions, and know which of their lines do something."""

import pytest
from executable_lines import executable

from alexnet_rosetta.harness import concordance
from alexnet_rosetta.harness.study import columns, kernels, source

OPERATIONS = [operation for family in concordance.families() for operation in family.operations]
PARTS = [(family, part) for family in concordance.families() for part in family.parts]

CPP = """\
int called(int x);
// A remark { with a bracket.
template <int A,
          int B>
int called(int x) {
    if (x) { return other(x); }  // done
    return 0;
}

void ConvLayer::fprop(int a,
                      int b) {
    called(a);
}
struct Pair : Base { int x; };
""".splitlines()


def test_a_function_begins_with_its_remarks_and_its_template_and_ends_with_its_bracket():
    assert source.in_cpp(CPP, "called") == (2, 8)
    assert source.in_cpp(CPP, "fprop", "ConvLayer") == (10, 13)
    assert source.in_cpp(CPP, "Pair") == (14, 14)
    assert source.in_cpp(CPP, "other") is None


@pytest.mark.parametrize("place", ["kernels", "host", "port", "reference"])
def test_every_name_of_the_concordance_has_lines_that_do_something(place):
    names = {name for operation in OPERATIONS for name in getattr(operation, place)} - {columns.LIBRARY}
    assert len(names) > 30
    assert [name for name in names if not executable(source.symbol(place, name))] == []


def test_lines_that_do_something():
    piece = source.symbol("kernels", "kFCNorm")
    lines = [line for k, line in enumerate(piece.lines, piece.first) if k in executable(piece)]
    assert lines[0].startswith("    const PixelBlock work(")
    assert not [line for line in lines if line.strip() in ("", "}") or line.lstrip().startswith("//")]
    piece = source.symbol("port", "conv.conv_forward")
    lines = [line for k, line in enumerate(piece.lines, piece.first) if k in executable(piece)]
    assert lines[0].startswith("    images = _images(")
    assert lines[-1] == "    return out"


@pytest.mark.parametrize(("family", "part"), PARTS, ids=[f"{part.of}, {part.what}" for _, part in PARTS])
def test_the_parts_of_an_operation_are_found(family, part):
    (operation,) = (one for one in family.operations if one.what == part.of)
    assert [part.host or part.kernels, part.port] != ["", ""]
    for kernel in operation.kernels:
        names = kernels.parts(kernel)
        for place in ("host", "kernels", "port", "reference"):
            found = source.pieces(getattr(part, place), place, **names)
            assert all(executable(piece) for piece in found)


def test_what_is_not_there_is_said():
    with pytest.raises(LookupError, match="no definition of nothing"):
        source.pieces("nothing", "kernels")
    with pytest.raises(LookupError, match="no line of kFCNorm"):
        source.pieces("kFCNorm from /nowhere/", "kernels")


def test_the_whole_operation_and_its_parts_have_the_same_lines():
    """Parts leave out no line of a kernel."""
    for kernel in ("filterActs_YxX_color", "filterActs_YxX_sparse"):
        found = columns.paired_pieces("conv", "forward", [kernel], {"conv_forward"})
        lines = {(piece.file, n) for _, cells, _ in found for piece in cells["legacy"] for n in executable(piece)}
        whole = source.symbol("kernels", kernel)
        assert {(whole.file, n) for n in executable(whole)} <= lines

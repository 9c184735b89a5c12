"""Evaluating in threads, some rows at a time: the same values in the same order."""

from threading import Barrier

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from alexnet_rosetta.harness.reference import Bounded
from alexnet_rosetta.harness.running import steps
from alexnet_rosetta.harness.running.prepare import Options, prepare
from alexnet_rosetta.harness.running.sweep import Sweep
from alexnet_rosetta.harness.running.threads import in_order


def blas_threads():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_parts_are_evaluated_side_by_side_and_come_in_order():
    meeting = Barrier(2, timeout=20)  # nobody passes alone

    def evaluate(part):
        meeting.wait()
        return part * 10, blas_threads()

    before = blas_threads()
    found = list(in_order(evaluate, range(6), 2))
    assert [value for value, _ in found] == [0, 10, 20, 30, 40, 50]
    assert all(threads == {1} for _, threads in found)
    assert blas_threads() == before


def test_no_more_are_on_the_way_than_there_are_threads():
    begun = []
    results = in_order(begun.append, range(5), 2)
    assert begun == []
    next(results)
    assert len(begun) <= 2


@pytest.mark.parametrize("threads", [1, 2])
def test_what_a_part_raises_arrives(threads):
    with pytest.raises(ZeroDivisionError):
        list(in_order(lambda part: 1 // part, [1, 0, 1], threads))


@pytest.mark.parametrize("shape", [(100, 7), (1, 7), (100, 1)])
def test_rows_of_a_bounded(shape):
    value = np.arange(np.prod(shape), dtype=float).reshape(shape)
    for magnitude, terms in ((value + 1, 3), (2.0, value[:, :1]), (value[:1], np.arange(shape[1]))):
        whole, some = Bounded(value, magnitude, terms), slice(32, 64) if shape[0] > 1 else slice(0, 1)
        found = whole.rows(some)
        assert np.array_equal(found.value, value[some])
        assert np.array_equal(found.bound(), np.broadcast_to(whole.bound(), shape)[some])


@pytest.mark.parametrize("net", ["tiny", "zoo"])
def test_parameters_by_rows_are_those_evaluated_whole(monkeypatch, net):
    def parameters(piece):
        monkeypatch.setattr(steps, "PIECE", piece)
        work = prepare(Options(net, engines=("reference",), batch=3, threads=2))
        found = {}

        def keep(comparison):
            if comparison.step == "update" or comparison.tensor.startswith(("weights", "biases")):
                found[comparison.layer.name, comparison.step, comparison.tensor] = comparison.reference

        work.on_tensor = keep
        rows = list(Sweep(work).rows())
        return found, [row.findings["reference"].status for row in rows]

    whole, in_pieces = parameters(2**30), parameters(1)
    assert whole[1] == in_pieces[1]
    assert whole[0].keys() == in_pieces[0].keys()
    assert len(whole[0]) > 20
    for key, array in whole[0].items():
        assert np.array_equal(array, in_pieces[0][key]), key

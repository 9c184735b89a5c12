"""A step is an object that any session can run: in a sweep, or once more in a session that has seen nothing yet."""

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from alexnet_rosetta.harness.judging.verdict import bitwise_equal
from alexnet_rosetta.harness.network.load import parameter_shapes
from alexnet_rosetta.harness.network.tensors import increment
from alexnet_rosetta.harness.quirks.settings import open_session
from alexnet_rosetta.harness.running import steps
from alexnet_rosetta.harness.running.prepare import Options, prepare, rows


def fresh(work, engine, step):
    """The session of an engine in which one step has run, and nothing else but what the step needs."""
    session = open_session(engine, work.network, work.threads, {})
    for layer in step.layers:
        for tensor in parameter_shapes(layer):
            owner, held = work.network.graph.owner(layer, tensor)
            for name in (held, increment(held)):
                session.write(owner, name, work.values[owner][name])
    step.again(session)
    return session


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        ({}, {"Forward", "Backward", "Collected", "Sum", "Update"}),
        ({"update_every": 3}, {"Forward", "Backward", "Collected", "Sum", "Update"}),
        ({"pass_type": "test"}, {"Forward"}),
    ],
)
def test_a_step_run_again_leaves_the_same_tensors(options, kinds):
    seen = Counter()

    def again(comparison):
        step = comparison.subject.step
        seen[type(step).__name__] += 1
        for engine in work.engines:
            found = step.read(fresh(work, engine, step), comparison.tensor)
            assert bitwise_equal(found, comparison.found[engine.name]), (comparison.layer.name, comparison.tensor)

    work = prepare(Options("tiny", engines=("reference", "port"), input="random", batch=4, threads=1, **options))
    work = replace(work, on_tensor=again)
    assert all(found.agrees for row in rows(work, "isolated") for found in row.findings.values())
    assert set(seen) == kinds


@pytest.mark.parametrize("piece", [1, 32 * 6, 33 * 6, 65 * 6, 2**19])
def test_pieces_are_whole_groups_of_32_rows_and_all_of_a_matrix(monkeypatch, piece):
    monkeypatch.setattr(steps, "PIECE", piece)
    step = steps.Step.__new__(steps.Step)
    step.work = SimpleNamespace(threads=1)
    found = list(step._by_rows((100, 6), lambda rows: np.arange(100)[rows]))
    assert [list(rows_) for rows_, _ in found] == [list(range(100)[where[0]]) for _, where in found]
    assert [row for rows_, _ in found for row in rows_] == list(range(100))
    assert all(where[1] == slice(0, 6) for _, where in found)
    assert {len(rows_) for rows_, _ in found[:-1]} <= {max(32, piece // 6 // 32 * 32)}

"""A step is an object that any session can run: in a sweep, or once more in a session that has seen nothing yet."""

from collections import Counter
from dataclasses import replace

import pytest

from alexnet_rosetta.harness.judging.verdict import bitwise_equal
from alexnet_rosetta.harness.network.load import parameter_shapes
from alexnet_rosetta.harness.network.tensors import increment
from alexnet_rosetta.harness.quirks.settings import open_session
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

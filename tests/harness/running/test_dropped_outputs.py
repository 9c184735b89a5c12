"""Outputs that no later step reads are freed as soon as they were judged."""

from alexnet_rosetta.harness.running.prepare import Options, prepare
from alexnet_rosetta.harness.running.sweep import Sweep


def outputs_at_the_end_of_the_forward_pass(own_feed):
    work = prepare(Options("tiny", engines=("port",), batch=3, threads=1))
    sweep = Sweep(work, own_feed=own_feed)
    rows = sweep.rows()
    for row in rows:
        if row.step == "backward":
            break
    layers = sweep.sessions["port"].network.layers
    held = {name: layer.acts is not None for name, layer in layers.items()}
    assert [row.findings["port"].agrees for row in rows]
    return held


def test_weighted_layers_hold_no_output_once_it_was_judged():
    held = outputs_at_the_end_of_the_forward_pass(own_feed=False)
    assert not held["conv1"]
    assert held["conv1_neuron"]  # read by its backward pass


def test_engines_that_feed_themselves_keep_all():
    assert outputs_at_the_end_of_the_forward_pass(own_feed=True)["conv1"]

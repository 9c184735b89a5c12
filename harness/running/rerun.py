"""Steps of single layers once more, in a session that has seen nothing yet: for `attribution`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Rerun:
    """How a tensor comes about once more.

    Attributes
    ----------
    key : tuple
        Names the step; tensors of one step have the same.
    layers : tuple of LayerSpec
        The layers that run.
    run : callable
        ``run(session)`` does the step.
    fetch : callable
        ``fetch(session)`` gets the tensor.
    bounded : callable
        The reference's tensor: ``bounded()`` gives (Bounded, slice of images or None) pairs.
    """

    key: tuple
    layers: tuple
    run: Callable
    fetch: Callable
    bounded: Callable[[], Iterable]


def run_forward(session, sweep, layer, inputs):
    """The forward step of a layer."""
    if sweep.work.kind != "train":
        session.set_pass_type(sweep.work.kind)
    session.forward(layer.name, inputs, sweep.work.mask(layer))


def run_backward(session, sweep, layer, inputs, grad):
    """Its backward step, and what comes before."""
    run_forward(session, sweep, layer, inputs)
    if layer.name in sweep.graph.fused:
        cost = sweep.graph.layers[sweep.graph.fused[layer.name]]
        run_forward(session, sweep, cost, sweep.inputs_of(cost))
    write_normals(session, sweep, layer)
    step_backward(session, sweep, layer, grad)


def step_backward(session, sweep, layer, grad):
    """One backward step; with several passes per update as many steps, which all see the same cases."""
    network = sweep.work.network
    for _ in range(network.update_every):
        session.backward(layer.name, grad, network.progress)


def run_sum(session, sweep, grads):
    """The backward steps of several consumers of a layer: dict of name to the gradient of the consumer's output."""
    for name, grad in grads.items():
        layer = sweep.graph.layers[name]
        run_backward(session, sweep, layer, sweep.inputs_of(layer), grad)


def run_update(session, sweep, layer, gradients):
    """An update from given gradients, by name."""
    write_normals(session, sweep, layer)
    for tensor, array in gradients.items():
        session.write(layer.name, tensor, array)
    session.update(layer.name, sweep.work.network.progress)


def write_normals(session, sweep, layer):
    """Hand over the normals of a layer's learning rates, where they have noise."""
    normals = sweep.work.normals(layer)
    if normals is not None:
        session.write(layer.name, "schedule_normals", normals)

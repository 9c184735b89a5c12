"""A network that runs in milliseconds, and engines with a known fault, for the tests of the running half."""

import sys
import textwrap
import time

import numpy as np

from alexnet_rosetta.harness.engines.protocol import Engine
from alexnet_rosetta.harness.engines.reference import ReferenceSession
from alexnet_rosetta.harness.errors import Unsupported
from alexnet_rosetta.harness.network.net import Net, lines
from alexnet_rosetta.harness.running.prepare import Options, prepare

RATES = {"epsW": 0.01, "epsB": 0.02, "momW": 0.9, "momB": 0.9, "wc": 0.0005}
WEIGHTS = lines(RATES)
DEFINITION, PARAMS = (
    Net(192, labels=1)
    .add(
        "conv1",
        "conv",
        "data",
        RATES,
        channels=3,
        filters=16,
        filterSize=3,
        padding=1,
        stride=1,
        initW=0.1,
        initB=0.2,
        partialSum=0,
        sharedBiases=1,
        neuron="relu",
    )
    .add("pool1", "pool", "conv1", pool="max", channels=16, sizeX=3, stride=2)
    .add("fc1", "fc", "pool1", RATES, outputs=12, initW=0.1)
    .add("drop1", "hs", "fc1", {"enable": "true"}, keep=0.5)
    .add(
        "fc2",
        "fc",
        "drop1,fc1",
        RATES | {"epsW": "0.01,0.01", "momW": "0.9,0.9", "wc": "0.0005,0.0005"},
        outputs=10,
        initW="0.1,0.1",
    )
    .softmax_cost("fc2", coeff=1, topk=2)
    .files()
)


def write_net(folder, definition=DEFINITION, params=PARAMS, name="small"):
    """Write the two layer files; returns the path of the definition as a string."""
    (folder / f"{name}.cfg").write_text(textwrap.dedent(definition))
    (folder / f"{name}-params.cfg").write_text(textwrap.dedent(params))
    return str(folder / f"{name}.cfg")


def workload(folder, *sessions, **options):
    """A prepared workload over the small network; `sessions` are classes that replace the reference's session."""
    work = prepare(Options(write_net(folder), engines=("reference",), **{"input": "random", "batch": 8, **options}))
    if sessions:
        work.engines = [Faulty(cls) for cls in sessions]
    return work


class Faulty(Engine):
    """An engine whose session is the given class."""

    def __init__(self, session, name=None):
        self.name, self.session = name or session.__name__, session

    def probe(self):
        """Always there."""
        return True, "a test double"

    def open(self, network, threads):
        """A session."""
        return self.session(network)


class BentFilter(ReferenceSession):
    """One output of conv1 is wrong."""

    def run_forward(self, layer, inputs, mask):
        acts = super().run_forward(layer, inputs, mask)
        if layer.name == "conv1":
            acts[17, 3] = 3
        return acts


class Waiting(BentFilter):
    """An engine that says when it is at fc1, and then takes long."""

    def run_forward(self, layer, inputs, mask):
        if layer.name == "fc1":
            print("at fc1", file=sys.stderr, flush=True)
            time.sleep(60)
        return super().run_forward(layer, inputs, mask)


class EndedInADestructor(BentFilter):
    """Waits in a destructor, where Python drops every exception, and then outside."""

    def run_forward(self, layer, inputs, mask):
        if layer.name == "fc1":
            Destroyed()
            time.sleep(60)
        return super().run_forward(layer, inputs, mask)


class Destroyed:
    """Says where it is and waits when it is destroyed."""

    def __del__(self):
        print("at fc1", file=sys.stderr, flush=True)
        time.sleep(60)


class LostImage(ReferenceSession):
    """Leaves one image out of fc1's weight gradient."""

    def run_backward(self, layer, acts_grad, wanted, progress):
        if layer.name != "fc1":
            return super().run_backward(layer, acts_grad, wanted, progress)
        grads = super().run_backward(layer, acts_grad, wanted, progress)
        without = acts_grad.copy()
        without[:, 0] = 0
        inputs, _ = self._state["fc1"]
        missing = inputs[0] @ (acts_grad - without).T
        inc = self._tensors["fc1"]["weights_inc[0]"]
        self._tensors["fc1"]["weights_inc[0]"] = inc - np.float32(0.01 / 8) * missing
        return grads


class NoPooling(ReferenceSession):
    """Cannot pool."""

    def run_forward(self, layer, inputs, mask):
        if layer.type == "pool":
            raise Unsupported("this engine has no pooling")
        return super().run_forward(layer, inputs, mask)


class Raising(ReferenceSession):
    """Fails in its own way: while it pools, and when fc2's bias gradient is read."""

    def run_forward(self, layer, inputs, mask):
        if layer.type == "pool":
            raise ValueError("boom")
        return super().run_forward(layer, inputs, mask)

    def read(self, layer, tensor):
        if (layer, tensor) == ("fc2", "biases_grad"):
            raise IndexError("no such row")
        return super().read(layer, tensor)


class Transposed(ReferenceSession):
    """Hands fc2's acts out the wrong way round."""

    def read(self, layer, tensor):
        found = super().read(layer, tensor)
        return found.T if (layer, tensor) == ("fc2", "acts") else found


class Double(ReferenceSession):
    """Hands fc1's acts out in float64."""

    def read(self, layer, tensor):
        found = super().read(layer, tensor)
        return found.astype(np.float64) if (layer, tensor) == ("fc1", "acts") else found


class Clock(ReferenceSession):
    """Says that a forward step takes one second, a backward step two, an update three."""

    def seconds(self, layer, step):
        return {"forward": 1.0, "backward": 2.0, "update": 3.0}[step]


class Forgetful(ReferenceSession):
    """Has no bias gradients to show."""

    def read(self, layer, tensor):
        if tensor == "biases_grad":
            raise KeyError(tensor)
        return super().read(layer, tensor)


class WrongAbove(ReferenceSession):
    """The gradients that fc2 sends down are twice too large."""

    def run_backward(self, layer, acts_grad, wanted, progress):
        grads = super().run_backward(layer, acts_grad, wanted, progress)
        return [2 * grad for grad in grads] if layer.name == "fc2" else grads

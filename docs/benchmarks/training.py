"""Images per second of training: port, legacy engine and a plain PyTorch loop of the same network, turn by turn.

    python docs/benchmarks/training.py photos fashion cifar --threads 1 2

Every engine begins with the same weights and sees the same minibatches. A turn is five minibatches of each engine, the
engines in turn; a line gives the median rate over the turns and the quartiles.
"""

import argparse
from time import perf_counter

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from alexnet_rosetta.harness.data import open_data, views
from alexnet_rosetta.harness.engines import available
from alexnet_rosetta.harness.training.learner import Learner, initial
from alexnet_rosetta.harness.training.run import Settings, fitting, network_of
from alexnet_rosetta.harness.values.noise import generator

MINIBATCHES, BATCH = 5, 128
DATA = {"fashion": "fashion"}


class Plain(nn.Module):
    """A network as one writes it in PyTorch: modules in a list, autograd, SGD with momentum and weight decay."""

    def __init__(self, network, values):
        super().__init__()
        self.steps, groups = nn.ModuleList(), []
        for layer in network.layers:
            step = self.step(layer, network)
            if step is not None:
                self.steps.append(step)
            if "weightShapes" in layer:
                own = {name: torch.from_numpy(array.copy()) for name, array in values[layer.name].items()}
                with torch.no_grad():
                    weights = own["weights[0]"].T.contiguous()
                    step.weight.copy_(weights.reshape(step.weight.shape))
                    step.bias.copy_(own["biases"].ravel())
                rate = {"lr": layer["epsW"][0], "momentum": layer["momW"][0], "weight_decay": layer["wc"][0]}
                groups += [{"params": [step.weight], **rate}]
                groups += [{"params": [step.bias], "lr": layer["epsB"], "momentum": layer["momB"]}]
        self.optimiser = torch.optim.SGD(groups)

    @staticmethod
    def step(layer, network):
        """The module of a layer; None where PyTorch needs none."""
        if layer.type == "conv":
            return nn.Conv2d(layer["channels"][0], layer["filters"], layer["filterSize"][0], layer["stride"][0],
                             -layer["padding"][0])  # fmt: skip
        if layer.type == "pool":
            kind = nn.MaxPool2d if layer["pool"] == "max" else nn.AvgPool2d
            return kind(layer["sizeX"], layer["stride"], ceil_mode=True)
        if layer.type == "neuron" and layer["neuron"]["type"] == "relu":
            return nn.ReLU(inplace=True)
        if layer.type == "cmrnorm":
            return nn.LocalResponseNorm(layer["size"], layer["scale"] * layer["size"], layer["pow"], 1.0)
        if layer.type == "fc":
            return nn.Linear(layer["numInputs"][0], layer["outputs"])
        assert layer.type in ("data", "softmax", "cost.logreg"), layer.type
        return None

    def train_step(self, pixels, classes):
        """One minibatch."""
        x = pixels
        for step in self.steps:
            x = step(x.flatten(1) if isinstance(step, nn.Linear) else x)
        loss = functional.cross_entropy(x, classes)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return float(loss.detach())


def minibatches(network, data):
    """(data, labels) of as many minibatches as a turn has."""
    side = fitting(network, data)
    seen = views.for_training(data, data.read(data.train[0]), generator(0, "views", 1, data.train[0]), side)
    for k in range(MINIBATCHES):
        part = slice(k * BATCH, (k + 1) * BATCH)
        yield np.ascontiguousarray(seen.data[:, part]), np.ascontiguousarray(seen.labels[:, part])


def measure(net, threads, turns):
    """Print a line for each engine."""
    network, data = network_of(Settings(net, batch=BATCH)), open_data(DATA.get(net, "photos"))
    given, values = list(minibatches(network, data)), initial(network, 0)
    torch.set_num_threads(threads)
    plain, shape = Plain(network, values), (-1, data.shape[0], *[fitting(network, data)] * 2)
    tensors = [(torch.from_numpy(x.T.copy()).reshape(shape), torch.from_numpy(y[0]).long()) for x, y in given]
    learners = [Learner(network, engine, threads, 0, values) for engine in available(["port", "legacy-cpu"])]
    steps = {learner.name: lambda k, own=learner: own.train(*given[k], 0, 0.0)["logprob"][0] / BATCH
             for learner in learners}  # fmt: skip
    steps["torch"] = lambda k: plain.train_step(*tensors[k])
    costs = np.array([[step(k) for k in range(MINIBATCHES)] for step in steps.values()])
    assert np.ptp(costs, axis=0).max() < 0.01 * costs.min(), costs  # the same network learns the same
    rates = {name: [] for name in steps}
    for _ in range(turns):
        for name, step in steps.items():
            begin = perf_counter()
            for k in range(MINIBATCHES):
                step(k)
            rates[name].append(MINIBATCHES * BATCH / (perf_counter() - begin))
    for name, own in rates.items():
        low, middle, high = np.percentile(own, [25, 50, 75])
        ratio = np.median(np.array(own) / rates["torch"])
        print(f"{net:8} {threads} thread(s)  {name:10} {middle:7,.0f} images/s ({low:,.0f} to {high:,.0f}), "
              f"{ratio:.2f} of torch", flush=True)  # fmt: skip


parser = argparse.ArgumentParser()
parser.add_argument("nets", nargs="*", default=["photos"])
parser.add_argument("--threads", type=int, nargs="+", default=[1])
parser.add_argument("--turns", type=int, default=9)
asked = parser.parse_args()
for net in asked.nets:
    for threads in asked.threads:
        measure(net, threads, asked.turns)

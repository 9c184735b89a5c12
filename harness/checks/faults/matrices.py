"""Faults of layers with other weights: unshared, sparse and borrowed ones, and those of a class tree."""

import numpy as np

from ...network.load import LayerSpec
from ...network.net import Net
from .fault import (
    BOTH,
    GRADIENT,
    Wrong,
    alone,
    cases,
    flat,
    miscomputed,
    misgiven,
    misread,
    on_result,
    on_weights,
    planes,
    scene,
    solver_step,
)
from .planted import CorrectLayer

# Modules that stick out over the border and groups; a sparse convolution whose groups see every channel twice; two
# layers that use the same filters, and two that use the same full matrix.
MATRICES = scene(
    Net(243)
    .add("conv1", "conv", "data", channels=3, filters=16, filterSize=3, padding=1, stride=2, neuron="relu")
    .add("local1", "local", "conv1", channels=16, filters=16, groups=2, filterSize=3, padding=1, stride=1)
    .add("sparse1", "conv", "local1", channels=32, filters=16, groups=4, randSparse=1, filterChannels=16, filterSize=3,
         padding=1, stride=1)
    .add("lent", "conv", "conv1", channels=16, filters=16, filterSize=3, padding=1, stride=1)
    .add("borrowed", "conv", "lent", channels=16, filters=16, filterSize=3, padding=1, stride=1, weightSource="lent")
    .add("fc1", "fc", "sparse1,borrowed", outputs=16)
    .add("fc2", "fc", "fc1", outputs=16)
    .add("fc3", "fc", "fc2", outputs=16, epsW=0.05, weightSource="fc2"),
    "fc3",
)  # fmt: skip

# A tree of ten classes in which nodes have two and three children, and paths three and four nodes.
TREE = scene(
    Net(40)
    .add("fc1", "fc", "data", outputs=24)
    .add("tree1", "treefc", "fc1", tree="0 1 2, 3 4 5, 6 7, 8 9, 10 11, 13 14, 12 15",
         schedB="exp[tgtFactor=10,noiseStdev=0]")
    .add("tree_probs", "softmax", "tree1")
    .add("tree_cost", "cost.logreg", "labels,tree_probs"),
    "fc1",
)  # fmt: skip

INCREMENT, NEW = "weights_inc[0]", "weights[0]"


# Local layers


def banks(layer: CorrectLayer, weights: np.ndarray) -> np.ndarray:
    """(modules * K, filters) as (modules, K, filters)."""
    return weights.reshape(layer.spec["modules"], -1, weights.shape[1])


def one_bank(layer: CorrectLayer, weights: np.ndarray) -> np.ndarray:
    """The filters of the first module everywhere."""
    return np.broadcast_to(banks(layer, weights)[:1], banks(layer, weights).shape).reshape(weights.shape)


def by_columns(layer: CorrectLayer, weights: np.ndarray) -> np.ndarray:
    """Modules in the order x, y."""
    side = layer.spec["modulesX"]
    modules = weights.reshape(side, side, -1)
    return np.ascontiguousarray(modules.swapaxes(0, 1)).reshape(weights.shape)


def filters_first(layer: CorrectLayer, weights: np.ndarray) -> np.ndarray:
    """Each bank read as (filters, K)."""
    stacked = banks(layer, weights)
    return stacked.reshape(len(stacked), stacked.shape[2], -1).swapaxes(1, 2).reshape(weights.shape)


def bias_of_module(layer: CorrectLayer, acts: np.ndarray) -> np.ndarray:
    """Biases (filters, modules) read as (modules, filters)."""
    b = layer.read("biases").reshape(layer.spec["filters"], -1)
    return acts + (b.reshape(b.T.shape).T - b).reshape(-1, 1)


def tied(layer: CorrectLayer, increments: np.ndarray) -> np.ndarray:
    """Every module gets the mean of what the modules learned."""
    stacked = banks(layer, increments)
    return np.broadcast_to(stacked.mean(0, dtype=np.float32), stacked.shape).reshape(increments.shape)


LOCAL = (
    miscomputed("local-shared", "the filters of the first module used at all of them", MATRICES, "local1",
                acts=on_weights(one_bank), grad=on_weights(one_bank)),
    miscomputed("local-module-order", "modules counted column by column", MATRICES, "local1",
                acts=on_weights(by_columns), grad=on_weights(by_columns)),
    miscomputed("local-filter-order", "each bank of filters stored filter by filter", MATRICES, "local1",
                acts=on_weights(filters_first)),
    miscomputed("local-bias-layout", "the biases read as (modules, filters)", MATRICES, "local1",
                acts=on_result(bias_of_module), input="exact"),
    miscomputed("local-tied", "the gradients of all modules averaged", MATRICES, "local1",
                backward={INCREMENT: on_result(tied)}),
    miscomputed("local-bias-sum", "the bias gradient not divided by the batch size", MATRICES, "local1",
                backward={"biases_grad": on_result(lambda layer, grads: grads * cases(layer))}),
)  # fmt: skip


# Sparse connections


def in_order(spec: LayerSpec, connections: np.ndarray) -> np.ndarray:
    """Groups that see the channels in order."""
    return np.sort(connections.reshape(spec["overSample"][0], -1)).ravel()


def of_next_group(spec: LayerSpec, connections: np.ndarray) -> np.ndarray:
    """Every group sees the channels of the one after it."""
    rounds = connections.reshape(spec["overSample"][0], -1)
    return np.roll(rounds, -spec["filterChannels"][0], axis=1).ravel()


def last_group_only(layer: CorrectLayer, grads: np.ndarray) -> np.ndarray:
    """The image gradient as if a channel that two groups see got that of the second only."""
    spec = layer.spec
    half, v = spec["groups"][0] // spec["overSample"][0], planes(layer.acts_grad, spec["filters"]).copy()
    v[: half * (spec["filters"] // spec["groups"][0])] = 0
    return layer.compute(GRADIENT, acts_grad=flat(v))


ALL_OF_SPARSE = f"{BOTH}, backward weights_grad[0]"
SPARSE = (
    misgiven("sparse-ignored", "the random connections ignored: channels in order", MATRICES, "sparse1",
             {"filterConns[0]": in_order}, ALL_OF_SPARSE),
    misgiven("sparse-group", "groups counted from 1 in the table of connections", MATRICES, "sparse1",
             {"filterConns[0]": of_next_group}, ALL_OF_SPARSE),
    miscomputed("sparse-overwritten", "the gradient of a channel that two groups see overwritten by the second",
                MATRICES, "sparse1", grad=on_result(last_group_only)),
)  # fmt: skip


# Weight sharing


def twice(layer: CorrectLayer, tensor: str) -> np.ndarray:
    """The step of an update done by both layers that use the matrix."""
    w, d, g, eps, mom, wc = solver_step(layer)
    for _ in range(2):
        d = mom * d + eps * g - eps * wc * w
        w = w + d
    return d if tensor == INCREMENT else w


SHARING = (
    miscomputed("sharing-overwritten", "the gradient of the second layer overwrites that of the first", MATRICES,
                "lent", backward={"weights_grad[0]": alone}),
    miscomputed("sharing-updated-twice", "shared weights updated once for each layer", MATRICES, "lent",
                update={NEW: twice, INCREMENT: twice}),
    miscomputed("sharing-momentum-twice", "the momentum applied once for each layer that shares", MATRICES, "fc2",
                backward={INCREMENT: alone}),
    misread("sharing-rate", "what another layer contributes multiplied by the owner's rate", MATRICES, "fc3",
            lambda spec: {"epsW": (0.02,)}, "fc2 backward weights_inc[0]"),
)  # fmt: skip


# Class trees


def leaves_only(layer: CorrectLayer, weights: np.ndarray) -> np.ndarray:
    """Offsets of inner nodes left out."""
    kept = weights.copy()
    kept[:, layer.spec["outputs"] :] = 0
    return kept


def without_root(layer: CorrectLayer, weights: np.ndarray) -> np.ndarray:
    """The offset of the root left out."""
    kept = weights.copy()
    kept[:, layer.spec["rootLabel"]] = 0
    return kept


def leaves_under(layer: CorrectLayer) -> np.ndarray:
    """Number of leaves under every node."""
    children = layer.spec.tree.children
    count = [0 if below else 1 for below in children]
    for node, below in enumerate(children):
        if below:
            count[node] = sum(count[child] for child in below)
    return np.array(count, np.float32)


def tree_step(of_gradient: int, of_decay: int) -> dict[str, Wrong]:
    """An update whose rate and decay are divided by powers of the number of leaves; right are 1 and 2."""

    def wrong(layer: CorrectLayer, tensor: str) -> np.ndarray:
        w, d, g, eps, mom, wc = solver_step(layer)
        count = leaves_under(layer)
        d = mom * d + eps / count**of_gradient * g - eps * wc / count**of_decay * w
        return d if tensor == INCREMENT else w + d

    return {NEW: wrong, INCREMENT: wrong}


def declined(layer: CorrectLayer, tensor: str) -> np.ndarray:
    """An update of the biases at the rate of their schedule."""
    w, d, g = (layer.read(name) for name in ("biases", "biases_inc", "biases_grad"))
    d = np.float32(layer.spec["momB"]) * d + np.float32(layer.spec["epsB"] * 10**-0.5) * g
    return d if tensor == "biases_inc" else w + d


TREES = (
    miscomputed("tree-path", "classes have the offsets of their leaves alone", TREE, "tree1",
                acts=on_weights(leaves_only), grad=on_weights(leaves_only)),
    miscomputed("tree-root", "the offset of the root left out", TREE, "tree1", acts=on_weights(without_root)),
    miscomputed("tree-gradient", "inner nodes learn nothing", TREE, "tree1",
                backward={"weights_grad[0]": on_result(leaves_only)}),
    miscomputed("tree-mean", "inner nodes get the mean of the gradients of their leaves, not the sum", TREE, "tree1",
                backward={"weights_grad[0]": on_result(lambda layer, grads: grads / leaves_under(layer))}),
    miscomputed("tree-rate", "the learning rate of a node not divided by its number of leaves", TREE, "tree1",
                update=tree_step(0, 1)),
    miscomputed("tree-schedule", "the biases of a tree follow their schedule, which history ignored", TREE, "tree1",
                update={"biases": declined, "biases_inc": declined}, progress=0.5),
    miscomputed("tree-decay", "the decay of a node divided by its number of leaves once, not twice", TREE, "tree1",
                update=tree_step(1, 1)),
)  # fmt: skip

FAULTS = (*LOCAL, *SPARSE, *SHARING, *TREES)

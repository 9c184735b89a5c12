"""A small engine for conformance packs, NumPy alone: engine.py [--wrong] CASES RESULTS.

It has convolutions without groups, average pooling, normalisation across maps and fully-connected layers; what else is
asked for it says is unsupported. With --wrong it makes three well-known mistakes: filters are mirrored, as in a
convolution of the textbook; pools divide by the whole window; a normalisation takes its scale as undivided.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np

WRONG = "--wrong" in sys.argv


class Unsupported(Exception):
    pass


def windows(x, start, size, stride, count):
    """For each pixel of a window, that pixel of all windows: (channels, count, count, images)."""
    span = stride * (count - 1) + 1
    beyond = max(0, start + span + size - 1 - x.shape[1])
    x = np.pad(x, [(0, 0), (-start, beyond), (-start, beyond), (0, 0)])
    for dy in range(size):
        for dx in range(size):
            yield x[:, dy : dy + span : stride, dx : dx + span : stride]


def patches(layer, x, i):
    """What each filter sees: (channel, y, x) x (place, image)."""
    if layer["groups"][i] > 1 or not layer["sharedBiases"]:
        raise Unsupported("only plain convolutions")
    side, channels = layer["imgSize"][i], layer["channels"][i]
    taps = windows(x.reshape(channels, side, side, -1), layer["padding"][i], layer["filterSize"][i], layer["stride"][i],
                   layer["modulesX"])  # fmt: skip
    found = np.stack(list(taps), axis=1)
    return (found[:, ::-1] if WRONG else found).reshape(channels * layer["filterSize"][i] ** 2, -1)


def conv(layer, a):
    y = sum(a[f"weights[{i}]"].T @ patches(layer, a[f"inputs[{i}]"], i) for i in range(len(layer["inputs"])))
    return (y + a["biases"]).reshape(-1, a["inputs[0]"].shape[1])


def conv_weights(layer, a):
    grad, images = a["acts_grad"], a["acts_grad"].shape[1]
    grad = grad.reshape(layer["filters"], -1)
    found = {f"weights_grad[{i}]": patches(layer, a[f"inputs[{i}]"], i) @ grad.T / images
             for i in range(len(layer["inputs"]))}  # fmt: skip
    return found | {"biases_grad": grad.sum(1, keepdims=True) / images}


def pool(layer, a):
    if layer["pool"] != "avg":
        raise Unsupported("only average pooling")
    x = a["inputs[0]"].reshape(layer["channels"], layer["imgSize"], layer["imgSize"], -1)
    geometry = layer["start"], layer["sizeX"], layer["stride"], layer["outputsX"]
    inside = sum(windows(np.ones_like(x[:1, ..., :1]), *geometry))
    return (sum(windows(x, *geometry)) / (layer["sizeX"] ** 2 if WRONG else inside)).reshape(layer["outputs"], -1)


def cmrnorm(layer, a):
    x = a["inputs[0]"].reshape(layer["channels"], -1, a["inputs[0]"].shape[1])
    if layer["blocked"]:
        raise Unsupported("no blocks of maps")
    half, squares = layer["size"] // 2, x**2
    sums = np.array([squares[max(0, f - half) : f - half + layer["size"]].sum(0) for f in range(len(x))])
    scale = layer["scale"] * (layer["size"] if WRONG else 1)
    return (x * (layer["minDiv"] + scale * sums) ** -layer["pow"]).reshape(layer["outputs"], -1)


def fc(layer, a):
    return sum(a[f"weights[{i}]"].T @ a[f"inputs[{i}]"] for i in range(len(layer["inputs"]))) + a["biases"].T


FORWARD = {"conv": conv, "pool": pool, "cmrnorm": cmrnorm, "fc": fc}


def run(case, a):
    layer, wanted = case["layer"], case["results"]
    if case["pass"] == "forward" and layer["type"] in FORWARD:
        return {"acts": FORWARD[layer["type"]](layer, a)}
    if case["pass"] == "input gradient" and layer["type"] == "fc":
        return {name: a[name.replace("inputs_grad", "weights")] @ a["acts_grad"] for name in wanted}
    if case["pass"] == "weight gradient" and layer["type"] == "conv":
        return {name: array for name, array in conv_weights(layer, a).items() if name in wanted}
    if case["pass"] in ("update", "steps") and layer["type"] == "conv":
        return update(case, a)
    raise Unsupported(f"no {case['pass']} of {layer['type']}")


def update(case, a):
    layer = case["layer"]
    if any([*layer["wballNormed"], *layer.get("wcNormMax", ())]) or "schedule_normals" in a or layer.get("superEps"):
        raise Unsupported("only updates without constraints")
    found = {}
    for name, rate in case["rates"].items():
        head, bracket, rest = name.partition("[")
        inc, grads = f"{head}_inc{bracket}{rest}", a[f"{head}_grad{bracket}{rest}"]
        w, delta = a[name], a[inc]
        for grad in grads if case["pass"] == "steps" else [grads]:
            delta = np.float32(rate["mom"]) * delta + np.float32(rate["eps"]) * grad - np.float32(rate["decay"]) * w
            w = w + delta
        found |= {name: w, inc: delta}
    return found


def main(cases, results):
    for path in sorted(Path(cases).glob("*.json")):
        case = json.loads(path.read_bytes())
        with np.load(path.with_suffix(".npz")) as held:
            arrays = dict(held)
        try:
            found = run(case, arrays)
        except Unsupported as error:
            Path(results, f"{path.stem}.unsupported").write_text(str(error))
            continue
        draft = Path(results, ".draft.npz")
        np.savez(draft, **{name: array.astype(np.float32) for name, array in found.items()})
        os.replace(draft, Path(results, f"{path.stem}.npz"))


if __name__ == "__main__":
    main(*sys.argv[-2:])

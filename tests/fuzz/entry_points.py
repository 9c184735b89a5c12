"""Calls of the entry points: sound ones of random geometry, with up to two arguments bent.

A call must return or raise Refused (KeyboardInterrupt if it takes long, MemoryError if it takes much), leave its
arguments and the bytes around them as they were, and give the same result whatever those bytes are.
"""

from dataclasses import dataclass, replace

import numpy as np

from alexnet_rosetta.legacy import Refused, _call, cudaconv, quirk_defaults, quirks

from . import runner

GUARD = 64  # bytes before and behind an array
MEMORY = 3 << 29  # more would be minutes of zeros, which no signal interrupts
PATIENCE = 2.0
QUIRKS = tuple(name.replace("-", "_") for name in quirk_defaults())

EDGES = [0, 1, 2, 3, 5, 7, 15, 16, 17, 127, 1000, 46341, 65535, 65536, 65537, 2**24, 2**28, 2**29, 2**30, 2**31 - 1]
STRANGE = [2**31, 2**32, 2**32 + 1, 2**53 + 1, 10**400, 0.5, 1e300, np.inf, np.nan, None, "3", b"", [3], True]
WORDS = ["", "max", "no such word", "\0", None, 3, ["Max"], "é" * 300]
CHANGES = ["rows", "columns", "transposed", "order", "strided", "backwards", "wide", "misaligned", "readonly", 
           "float64", "vector", "cube", "empty", "endless", "swapped", "object", "subclass"]  # fmt: skip


@dataclass
class Array:
    """An argument to be made: shape, storage order, what is bent, and the seed of its values."""

    rows: int
    cols: int
    order: str = "C"
    change: str = ""
    seed: int = 0
    kind: str = "normal"

    def make(self, guard):
        """(argument, owner of the memory, copy of all bytes)."""
        rng = np.random.default_rng(self.seed)
        rows, cols = self.rows, self.cols
        if self.change == "empty":
            return np.zeros([(0, cols), (rows, 0), (0, 2**40), (2**40, 0)][self.seed % 4], np.float32), None, None
        if self.change == "endless":
            shape = [(2**16, 2**16), (2**31, 1), (1, 2**31), (2**20, 2**20)][self.seed % 4]
            return np.broadcast_to(np.float32(1), shape), None, None
        if self.change == "object":
            return [None, 3, [[1.0]], "array", np.array([[None]]), np.float32(2)][self.seed % 6], None, None
        if self.change == "rows":
            rows = max(1, rows + int(rng.integers(-3, 4)))
        elif self.change == "columns":
            cols = max(1, cols + int(rng.integers(-3, 4)))
        elif self.change == "transposed":
            rows, cols = cols, rows
        wide = int(rng.integers(1, 9)) if self.change == "wide" else 0
        order = {"C": "F", "F": "C"}[self.order] if self.change == "order" else self.order
        inner, outer = (cols, rows) if order == "C" else (rows, cols)
        bytes_ = 4 * outer * (inner + wide)
        shift = 1 + self.seed % 3 if self.change == "misaligned" else 0
        owner = np.full(bytes_ + 2 * GUARD + 4, guard, np.uint8)
        if runner.sanitized():  # the sanitizer guards what has its own memory
            owner, before = np.empty(bytes_ + shift, np.uint8), shift
        else:
            before = GUARD + shift
        whole = np.ndarray((outer, inner + wide), np.float32, owner, before)
        array = whole[:, :inner]
        with np.errstate(invalid="ignore"):
            array[...] = self.values(rng, outer, inner)
        if order == "F":
            array = array.T
        if self.change == "strided":
            array = array[::2]
        elif self.change == "backwards":
            array = array[::-1]
        elif self.change == "readonly":
            array.flags.writeable = False
        elif self.change == "float64":
            with np.errstate(invalid="ignore", over="ignore"):
                array = array.astype([np.float64, np.int32, np.float16, np.complex64, bool][self.seed % 5])
        elif self.change == "vector":
            array = array.reshape(-1)
        elif self.change == "cube":
            array = array[None]
        elif self.change == "swapped":
            array = array.astype(">f4")
        elif self.change == "subclass":
            array = np.ma.masked_array(array)
        return array, owner, owner.copy()

    def values(self, rng, rows, cols):
        """What stands in the array."""
        if self.kind == "labels":
            return rng.integers(0, 4, (rows, cols)).astype(np.float32)
        if self.kind == "uniform":
            return rng.random((rows, cols))
        values = rng.standard_normal((rows, cols)).astype(np.float32)
        if self.kind == "special":
            values.flat[:: max(1, values.size // 7)] = rng.choice([np.inf, -np.inf, np.nan, 3e38, -0.0, 1e-42])
        return values


class Draw:
    """Random choices in words."""

    def __init__(self, rng):
        self.rng = rng

    def of(self, *values):
        return values[int(self.rng.integers(len(values)))]

    def to(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def images(self):
        return self.of(1, 2, 3, 5, 31, 32, 33, 64, 100, 128, 130)

    def odds(self, share):
        return self.rng.random() < share


def scales(d, targets="scaleTargets", output="scaleOutput"):
    """A pair of scales; a target is passed only where it is read, or now and then."""
    return {targets: d.of(0, 0, 1, 0.5), output: d.of(1, 1, 0.25, -1)}


def conv(d, entry):
    """The twelve convolution entry points."""
    table, local = "Sparse" in entry, entry.startswith("local")
    groups = d.of(2, 4) if table else d.of(1, 1, 1, 2)
    channels = d.of(8, 16) if table else d.of(1, 2, 3, 4, 8, 16) if groups == 1 else groups * d.of(4, 8)
    per_filter = d.of(4, channels) if table else channels // groups
    size, n, padding = d.to(1, 4), d.of(1, 2, 17, 32, 33, 64, 128), d.to(0, 2)
    side, stride = d.to(size, 8), d.to(1, size)
    modules = 1 + max(0, -(-(2 * padding + side - size) // stride))
    filters = 16 * groups * d.to(1, 2)
    samples = groups * per_filter // channels if table else 1
    images, acts = Array(channels * side**2, n), Array(filters * modules**2, n)
    weights = Array((modules**2 if local else 1) * per_filter * size**2, filters)
    keys = {
        "imgSizeY": side,
        "numModulesY": modules,
        "paddingStart": -padding,
        "moduleStride": stride,
        "numImgColors": channels,
        "numGroups": groups,
        **scales(d),
    }
    if table:
        permuted = [d.rng.permutation(channels) for _ in range(max(1, samples))]
        indices = np.resize(np.concatenate(permuted), groups * per_filter).reshape(groups, per_filter)
        keys |= {"colorIndices": indices.astype(np.int32), "numFilterColors": per_filter}
    if "Filter" in entry:
        return {"images": images, "filters": weights, "targets": acts}, keys | {"numModulesX": modules}
    if "Img" in entry:
        targets = replace(images, rows=samples * images.rows)
        return {"hidActs": acts, "filters": weights, "targets": targets}, keys | {"imgSizeX": side}
    slabs = modules**2 if local else 1
    keys |= {"numModulesX": modules, "filterSize": size} | ({} if local else {"partialSum": 0})
    if table:
        keys["overload"] = d.of("long", "long", "short")
    elif not local and d.odds(0.3):
        keys["partialSum"], slabs = modules, modules
    return {"images": images, "hidActs": acts, "targets": Array(slabs * per_filter * size**2, filters)}, keys


def window(d):
    """(side, windows) of pooling."""
    side, size = d.to(1, 12), d.of(1, 2, 3, 5, 6, 7)
    stride, start = d.to(1, size), -d.to(0, 3)
    return side, {"subsX": size, "startX": start, "strideX": stride, "outputsX": d.to(1, 1 + side // stride)}


def pool(d, entry):
    """Pooling within maps."""
    maps, n, (side, keys) = d.of(1, 2, 3, 8, 16), d.images(), window(d)
    if "Undo" in entry:
        maps, keys = 16 * d.to(1, 2), keys | scales(d)
    images, outputs = Array(maps * side**2, n), Array(maps * keys["outputsX"] ** 2, n)
    if entry == "convLocalMaxUndo":
        return {"images": images, "maxGrads": outputs, "maxActs": outputs, "target": images}, keys
    if entry == "convLocalAvgUndo":
        return {"avgGrads": outputs, "target": images}, keys | {"imgSize": side, "sum": d.odds(0.2)}
    keys["numFilters"] = maps
    if entry == "convLocalRandomPool":
        return {"images": images, "uniforms": replace(outputs, kind="uniform"), "target": outputs}, keys
    return {"images": images, "target": outputs}, keys | {"pooler": d.of("Max", "MaxAbs", "Avg", "Sum")}


def pool_maps(d, entry):
    """Pooling across maps."""
    maps, side, n, size = d.to(1, 20), d.to(1, 6), d.images(), d.to(1, 5)
    start, stride = -d.to(0, 2), d.to(1, size)
    outputs = 1 + max(0, -(-(maps - start - size) // stride))
    keys = {"imgSize": side, "startF": start, "poolSize": size, "stride": stride, "generation": 2014}
    images, pooled = Array(maps * side**2, n), Array(outputs * side**2, n)
    if "Undo" in entry:
        return (
            {"images": images, "maxGrads": pooled, "maxActs": pooled, "target": images},
            keys | scales(d, output="scaleOutputs"),
        )
    return {"images": images, "target": pooled}, keys | {"numOutputs": outputs}


def norm(d, entry):
    """Response and contrast normalisation, within and across maps."""
    maps, side, n = d.of(1, 3, 8, 16, 32), d.to(1, 9), d.images()
    images, names = Array(maps * side**2, n), ["images", "denoms", "target"]
    keys = {"numFilters": maps, "addScale": d.of(0.1, 1e-4), "powScale": d.of(0.75, 0.5, 1), "sizeX": d.to(1, 9)}
    if "Contrast" in entry:
        names.append("meanDiffs")
    if "Undo" in entry:
        names = ["outGrads", "denoms", "acts", "target", "meanDiffs" if "Contrast" in entry else "inputs"]
        keys |= scales(d)
    if "CrossMap" in entry:
        del keys["sizeX"]
        keys |= {"sizeF": d.to(1, maps), "blocked": d.odds(0.5), "minDiv": d.of(1, 2)}
    return {name: images for name in names}, keys


def image(d, entry):
    """Image operations."""
    side, channels, n = d.to(2, 12), d.of(1, 2, 3, 8), d.images()
    images, keys = Array(channels * side**2, n), {"imgSize": side}
    target = images
    if entry == "convGaussianBlur":
        keys = {"horiz": d.odds(0.5), "numChannels": channels, **scales(d, output="scaleOutputs")}
        return {"images": images, "filter": Array(1, 2 * d.to(1, 4) + 1), "target": images}, keys
    if "Nails" in entry:
        stride = d.to(2, 4)
        keys |= {"numChannels": channels, "startX": d.to(0, 1), "strideX": stride, **scales(d)}
        small = Array(channels * (-(-side // stride)) ** 2, n)
        if "Undo" in entry:
            return {"actsGrad": small, "target": images}, keys
        target = small
    elif "Resize" in entry:
        keys |= {"tgtSize": d.to(1, 12), "scale": d.of(0.5, 1.0, 1.7, -1.0)}
        target = Array(channels * keys["tgtSize"] ** 2, n)
    elif "Crop" in entry:
        size = d.to(1, side)
        keys |= {"tgtSize": size, "startY": d.to(0, side - size), "startX": d.to(0, side - size)}
        return {"imgs": images, "target": Array(channels * size**2, n)}, keys
    elif "RGB" in entry:
        images = target = replace(images, rows=3 * side)
        keys = {"center": d.odds(0.5)} if "LAB" in entry else {}
    elif "Reflect" in entry:
        return {"images": images, "targets": images}, keys
    return {"images": images, "target": target}, keys


def tica(d, entry):
    """TICA, its gradient, and the norms of local weights."""
    maps, side, n = 16 * d.to(1, 2), d.to(1, 6), d.images()
    images = Array(maps * side**2, n)
    if entry == "normalizeLocalWeights":
        modules = d.to(1, 9)
        return {"weights": Array(modules * d.to(1, 20), maps)}, {"numModules": modules, "norm": d.of(1.0, 0.1)}
    names = ["images", "target"] + (["ticas"] if "Grad" in entry else [])
    return dict.fromkeys(names, images), {"numFilters": maps, "sizeX": d.to(1, 5), **scales(d, "scaleTarget")}


def half(d, entry):
    """To half precision and back."""
    elements = d.of(1, 2, 3, 127, 128, 1000)
    packed, numbers = Array(1, -(-elements // 2)), Array(1, elements)
    if entry == "convQuantizeHalf":
        return {"src": numbers, "tgt": packed}, {}
    return {"quantized": packed, "tgt": numbers}, {"numElements": elements, **scales(d, "scaleTarget")}


def cost(d, entry):
    """Costs and their gradients."""
    classes, cases = d.to(4, 40), d.images()
    probs, labels = Array(classes, cases, kind="uniform"), Array(1, cases, kind="labels")
    if "CrossEnt" in entry:
        labels = probs
    if "Softmax" in entry and "Grad" in entry:
        probs = Array(cases, classes, "F", kind="uniform")
    keys = {} if "Cost" in entry else {"add": d.odds(0.5), "coeff": d.of(1.0, 0.5)}
    result = Array(1, cases)
    if entry == "computeSoftmaxGrad":
        return {"acts": probs, "actsGrad": probs, "target": probs}, {"add": d.odds(0.5)}
    if entry == "computeEltwiseMaxGrad":
        one = Array(classes, cases, d.of("C", "F"))
        return {"actGrad": one, "input": one, "output": one, "target": one}, {"add": d.odds(0.5)}
    if entry == "neuron":
        one = Array(classes, cases, d.of("C", "F"))
        keys |= {"type": d.of(*cudaconv.NEURONS, 3, 12), "a": d.of(1.0, 0.0, 2.0), "b": d.of(1.0, 0.5)}
        keys.pop("coeff")
        return {"inputs": one, "actsGrad": one, "outputs": one, "target": one}, keys
    if "Grad" in entry:
        return {"labels": labels, "probs": probs, "target": probs}, keys
    arrays = {"labels": labels, "probs": probs, "labelLogProbs": result, "correctProbs": result}
    if entry == "computeMultiSoftmaxCost":
        arrays |= {"energies": probs, "top5Probs": result}
        keys = {"setSize": d.to(1, 5), "useEnergies": d.odds(0.5)}
    return arrays, keys


PRIMITIVES = {"fill": "value", "copyTo": "a", "exp": "a", "eltwiseMult": "a b", "eltwiseMultAdd": "a b",
              "applyMax": "a b", "eltwiseMultByVector": "a v", "eltwiseDivideByVector": "a v", "sum": "a axis",
              "max": "a axis", "scale": "a s", "add": "a b scaleA scaleB", "addVector": "a v scaleVec",
              "addSum": "a axis scaleThis scaleSum", "addProduct": "a b scaleThis scaleAB", "sumAll": "a",
              "dotProduct": "a b"}  # fmt: skip


def primitive(d, entry):
    """The matrix primitives, which have no Python functions."""
    rows, cols, names = d.of(1, 2, 5, 33), d.images(), PRIMITIVES[entry].split()
    one = Array(rows, cols, d.of("C", "F"))
    arrays = {"target": replace(one, order=d.of("C", "F"))}
    keys = {name: d.of(0, 1) if name == "axis" else d.of(0, 1, 0.5) for name in names if len(name) > 1 or name == "s"}
    for name in names:
        if name in ("a", "b"):
            arrays[name] = replace(one, order=d.of("C", "F")) if d.odds(0.3) else one
        elif name == "v":
            arrays["b"] = d.of(Array(1, cols, one.order), Array(rows, 1, one.order))
    if names[-1] in ("axis", "scaleSum"):
        arrays["target"] = Array(1, cols) if keys["axis"] == 0 else Array(rows, 1)
    if entry == "addProduct":
        arrays["b"] = Array(cols, 7, d.of("C", "F"))
        arrays["target"] = Array(rows, 7, "F")
    return arrays, keys


def family(entry):
    """What draws a sound call of an entry point."""
    if entry in PRIMITIVES:
        return primitive
    if "Acts" in entry:
        return conv
    if "TICA" in entry or entry == "normalizeLocalWeights":
        return tica
    if "Norm" in entry:
        return norm
    if "Pool" in entry or entry.startswith("convLocal"):
        return pool_maps if "CrossMap" in entry else pool
    if "Half" in entry or "Quantize" in entry or "Dequantize" in entry:
        return half
    return image if entry.startswith("conv") else cost


ENTRIES = sorted({*cudaconv.__all__} - {"NEURONS"}) + sorted(PRIMITIVES)


def bend(d, arrays, keys):
    """Spoil one argument."""
    names = [*arrays, *keys]
    name = names[d.to(0, len(names) - 1)]
    if name in arrays:
        arrays[name] = replace(arrays[name], change=d.of(*CHANGES))
        return
    value = keys[name]
    if not isinstance(value, (str, bool, int, float, np.ndarray)):
        return  # bent already
    if isinstance(value, str):
        keys[name] = d.of(*WORDS)
    elif isinstance(value, np.ndarray):
        keys[name] = d.of(value - 1, value + 1, value[:1], value.astype(float), value.tolist(), "table", None, value.T)
    else:
        near = [value - 1, value + 1, 2 * value, -value] if not isinstance(value, bool) else [not value]
        edge = d.of(*EDGES)
        keys[name] = d.of(d.of(*near), d.of(*near), edge, edge, -edge, d.of(*STRANGE))


def draw(rng):
    """(entry, arrays, keywords, quirks turned)."""
    d = Draw(rng)
    entry = d.of(*ENTRIES)
    arrays, keys = family(entry)(d, entry)
    optional = ("target", "targets", "tgt", "outputs", "denoms", "labelLogProbs", "correctProbs", "top5Probs")
    read = keys.get("scaleTargets") or keys.get("scaleTarget") or keys.get("add")
    arrays = {
        name: replace(array, seed=d.to(0, 10**6), kind="special" if d.odds(0.05) else array.kind)
        for name, array in arrays.items()
        if name not in optional
        or entry in PRIMITIVES
        or (name == "denoms" and "Undo" in entry)
        or (d.odds(0.9) if read else d.odds(0.2))
    }
    if entry not in PRIMITIVES:
        keys.setdefault("generation", d.of(2011, 2012, 2012, 2014))
    for _ in range(d.of(0, 1, 1, 1, 2)):
        bend(d, arrays, keys)
    turned = {d.of(*QUIRKS): False} if d.odds(0.3) else {}
    return entry, arrays, keys, turned


def call(entry, arrays, keys):
    """The entry point, by its function or, a primitive, by its name."""
    if entry not in PRIMITIVES:
        return getattr(cudaconv, entry)(**arrays, **keys)
    operands = {
        name: (_call.col if isinstance(a, np.ndarray) and not a.flags.c_contiguous else _call.row)(name, a)
        for name, a in arrays.items()
    }
    target = operands.pop("target")
    return _call.call(f"NVMatrix::{entry}", list(operands.values()), [target], keys)


def attempt(case, guard):
    """("accepted", results) or ("refused", text); asserts that the arguments are as they were."""
    entry, arrays, keys, turned = case
    made = {name: array.make(guard) for name, array in arrays.items()}
    try:
        with quirks(**turned):
            results = call(entry, {name: array for name, (array, _, _) in made.items()}, dict(keys))
        outcome = "accepted", [r.tobytes() for r in (results if isinstance(results, tuple) else (results,))]
    except Refused as refusal:
        outcome = "refused", str(refusal)
    except MemoryError:
        outcome = "memory", None
    for name, (_, owner, before) in made.items():
        assert owner is None or np.array_equal(owner, before), f"{name} was written to"
    return outcome


def trial(rng):
    """One call, twice, between different guards."""
    case = draw(rng)
    try:
        first = attempt(case, 0x7F)
        if first[0] == "accepted":
            again = attempt(case, 0xFF)
            assert again == first, "the result depends on what lies around the arguments"
    except Exception as error:
        error.add_note(f"{case}")
        raise
    return first[0]


if __name__ == "__main__":
    runner.main(trial, patience=PATIENCE, memory=MEMORY, interruptible=True)

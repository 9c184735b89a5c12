"""The kinds of layers of random networks: each function adds one to a `net_builder.Builder`, if something suits it.

Filters come in 16s per group and channels in 4s, pooling and normalisation take 16 channels, because the historical
kernels need that.
"""

from functools import partial
from typing import Any

from .net_builder import LARGEST_SIDE, MOST_CHANNELS, Builder, Tensor, listed

# Layers with weights


def conv(b: Builder) -> None:
    """Convolution: one or two inputs, groups."""
    _filters(b, "conv")


def local(b: Builder) -> None:
    """The same with filters of their own for every module."""
    _filters(b, "local")


def _filters(b: Builder, kind: str) -> None:
    first = b.tensor(lambda tensor: tensor.image and _fits(tensor))
    if first is None:
        return
    inputs = [first]
    if b.chance(0.3):
        inputs.append(b.tensor(lambda tensor: tensor.image and tensor.size == first.size and _fits(tensor)))
    shapes, stride, side = _geometry(b, first, len(inputs))
    groups = [_groups(b, tensor) for tensor in inputs]
    total = 16 * max(groups) * (1 if max(groups) > 1 else b.integer(1, 2))
    if side > (LARGEST_SIDE if kind == "conv" else 5):
        return
    fan_in = [tensor.channels // g * s**2 for tensor, g, (s, _) in zip(inputs, groups, shapes, strict=True)]
    keys = _filter_keys(b, kind, side)
    b.add_weighted(
        kind, inputs, (total, side, True), fan_in, **keys,
        channels=listed(tensor.channels for tensor in inputs),
        filters=listed(total // g for g in groups),
        groups=listed(groups),
        filterSize=listed(s for s, _ in shapes),
        padding=listed(p for _, p in shapes),
        stride=listed(stride for _ in inputs),
    )  # fmt: skip


def sparse(b: Builder) -> None:
    """Convolution of groups that see random channels, each channel once or more often."""
    source = b.tensor(lambda tensor: tensor.image and tensor.channels % 16 == 0)
    if source is None:
        return
    ((size, padding),), stride, side = _geometry(b, source, 1)
    groups = b.pick((2, 4))
    width = source.channels // groups * b.pick([k for k in (1, 2, 4) if k <= groups])
    if side > LARGEST_SIDE:
        return
    b.add_weighted(
        "conv", [source], (16 * groups, side, True), [width * size**2], **_filter_keys(b, "conv", side),
        channels=source.channels, filters=16, groups=groups, randSparse=1, filterChannels=width, filterSize=size,
        padding=padding, stride=stride,
    )  # fmt: skip


def shared(b: Builder) -> None:
    """A layer with the weights of an earlier one, on inputs of the same shapes."""
    if not b.weighted:
        return
    kind, originals, output, fan_in, keys = b.pick(b.weighted)
    inputs = [b.tensor(partial(_is_like, like)) for like in originals]
    source = listed(f"{output.name}[{i}]" for i in range(len(inputs)))
    where: dict[str, Any] = {"gpu": output.device} if b.devices > 1 else {}
    b.add(kind, inputs, output.shape, weightSource=source, **keys, **where, **b.learning(fan_in, ()))


def fc(b: Builder) -> None:
    """Full connection of one or two inputs; sometimes what it puts out is taken for small pictures."""
    inputs = list(dict.fromkeys(b.tensor() for _ in range(b.integer(1, 2))))
    side = b.integer(2, 4) if b.chance(0.3) else 1
    shape = (3, side, True) if side > 1 else (b.integer(4, 24), 1, False)
    b.add_weighted("fc", inputs, shape, [tensor.units for tensor in inputs], outputs=shape[0] * side**2)


def _geometry(b: Builder, first: Tensor, count: int) -> tuple[list[tuple[int, int]], int, int]:
    """Size and padding of every filter, stride and side of the modules for an input and others of its size."""
    size = b.integer(1, min(5, first.size + 2))
    padding = b.integer(max(0, -((first.size - size) // 2)), size - 1) if size > 1 else 0
    stride = b.integer(1, min(3, size))
    shapes = [(size, padding)]
    for _ in range(count - 1):  # one pixel shorter on every side gives as many modules
        shorter = size - 2 >= stride and padding > 0 and b.chance(0.5)
        shapes.append((size - 2, padding - 1) if shorter else (size, padding))
    return shapes, stride, 1 - (size - first.size - 2 * padding) // stride


def _groups(b: Builder, tensor: Tensor) -> int:
    return b.pick([g for g in (1, 1, 2, 4) if g == 1 or tensor.channels % (4 * g) == 0])


def _filter_keys(b: Builder, kind: str, side: int) -> dict[str, Any]:
    """Keys that only one of conv and local has."""
    if kind == "local":
        return {"limits": ("wball",)}
    parts = [0, *(part for part in range(1, side**2 + 1) if side**2 % part == 0)]
    return {"limits": ("wball", "wcNorm"), "sharedBiases": int(b.chance(0.7)), "partialSum": b.pick(parts)}


def _is_like(like: Tensor, tensor: Tensor) -> bool:
    return tensor.shape == like.shape


def _fits(tensor: Tensor) -> bool:
    return tensor.channels <= 3 or tensor.channels % 4 == 0


# Layers on images


def pool(b: Builder) -> None:
    """Every kind of pooling."""
    source = b.tensor(lambda tensor: tensor.image and tensor.channels % 16 == 0 and tensor.size > 1)
    if source is None:
        return
    size = b.integer(2, min(4, source.size))
    stride, start = b.integer(1, size), -b.integer(0, size - 1) if b.chance(0.3) else 0
    outputs = 1 - (size - source.size + start) // stride
    if start + stride * (outputs - 1) >= source.size:
        return
    kind = b.pick(("max", "max", "avg", "avg", "maxabs", "rand"))
    more: dict[str, Any] = {"doMax": int(b.chance(0.2))} if kind == "rand" else {}
    b.add(
        "pool", [source], (source.channels, outputs, True),
        pool=kind, channels=source.channels, sizeX=size, stride=stride, start=start, **more,
    )  # fmt: skip


def norm(b: Builder) -> None:
    """Every kind of response normalisation."""
    source = b.tensor(lambda tensor: tensor.image and tensor.channels % 16 == 0)
    if source is None:
        return
    kind = b.pick(("cmrnorm", "cmrnorm", "rnorm", "cnorm"))
    if kind == "cmrnorm":
        keys: dict[str, Any] = {"size": b.integer(2, 9), "blocked": int(b.chance(0.3)), "minDiv": b.pick((1, 2))}
    else:
        keys = {"size": b.integer(1, min(6, source.size))}
    b.add(
        kind, [source], source.shape, channels=source.channels,
        scale=b.pick((0.0001, 0.1, 1, 5)), pow=b.pick((0.5, 0.6, 0.75, 1)), **keys,
    )  # fmt: skip


def nailbed(b: Builder) -> None:
    """Every second, third or fourth pixel."""
    source = b.tensor(lambda tensor: tensor.image and tensor.size > 1)
    if source is None:
        return
    stride = b.integer(2, min(4, source.size))
    side = -(-source.size // stride)
    b.add("nailbed", [source], (source.channels, side, True), channels=source.channels, stride=stride)


def blur(b: Builder) -> None:
    """Gaussian blur."""
    source = b.tensor(lambda tensor: tensor.image and tensor.size > 2)
    if source is None:
        return
    size = b.pick([size for size in (3, 5, 7, 9) if size <= source.size])
    stdev = round(b.random.uniform(0.4, 2), 3)
    b.add("blur", [source], source.shape, channels=source.channels, filterSize=size, stdev=stdev)


def href(b: Builder) -> None:
    """Pictures mirrored."""
    source = b.tensor(lambda tensor: tensor.image and tensor.channels <= 3)
    if source is not None:
        b.add("href", [source], source.shape, channels=source.channels)


def resize(b: Builder) -> None:
    """Pictures resized, by a given or a random factor."""
    source = b.tensor(lambda tensor: tensor.image and not tensor.learned and tensor.size > 2)
    if source is None:
        return
    if b.chance(0.5):
        scale = round(b.random.uniform(0.7, 2), 3)
        shape = (source.channels, int(source.size / scale), True)
        b.add("resize", [source], shape, channels=source.channels, scale=scale)
    else:
        scale = round(b.random.uniform(1, 2), 3)
        shape = (source.channels, int(source.size / scale), True)
        b.add("rscale", [source], shape, channels=source.channels, maxScale=scale)


def colours(b: Builder) -> None:
    """Pictures in another colour space; those whose numbers are about 100 are scaled back."""
    source = b.tensor(lambda tensor: tensor.channels == 3 and not tensor.learned)
    if source is None:
        return
    if b.chance(0.5):
        b.add("rgb2yuv", [source], source.shape)
    else:
        center = int(b.chance(0.5))
        b.add("rgb2lab", [source], source.shape, attach=False, center=center, neuron="linear[0.01,0.1]")


# Layers on units


def neuron(b: Builder) -> None:
    """A neuron of any type, as a layer."""
    source = b.tensor()
    kind = "sqrt" if source.positive else b.neuron([source])
    b.add("neuron", [source], source.shape, attach=False, neuron=kind)


def dropout(b: Builder) -> None:
    """Dropout, sometimes not enabled."""
    source = b.tensor()
    b.add("hs", [source], source.shape, keep=b.pick((0.5, 0.3, 0.75)), enable=int(b.chance(0.85)))


def join(b: Builder) -> None:
    """eltsum, eltmax or concat; elementwise ones may take the same input twice."""
    first = b.tensor()
    kind = b.pick(("eltsum", "eltmax", "concat"))
    if kind == "concat":
        others = [tensor for tensor in b.tensors if tensor.image == first.image and tensor.size == first.size]
        inputs = [first, b.pick(others)]
        channels = sum(tensor.channels for tensor in inputs)
        if channels <= MOST_CHANNELS or not first.image:
            b.add(kind, inputs, (channels, first.size, first.image))
        return
    others = [tensor for tensor in b.tensors if tensor.units == first.units]
    inputs = [first, *(b.pick(others) for _ in range(b.integer(1, 2)))]
    coeffs: dict[str, Any] = {"coeffs": listed(b.pick((1, -0.5, 0.3, 2)) for _ in inputs)} if kind == "eltsum" else {}
    b.add(kind, inputs, first.shape, **coeffs)

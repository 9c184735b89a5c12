"""Keys and derived values of the layers with weights: fc, treefc, conv, local (config-format 6, 7, 11, 12)."""

from collections.abc import Sequence

from . import geometry, grammar
from .keys import Draft, Tree, flag, integer, number, text

WEIGHT_KEYS = (
    number("initW", each=True),
    number("initB", 0),
    text("initWFunc", "", grammar.read_init_function),
    text("initBFunc", "", grammar.read_init_function),
)
FC_KEYS = (integer("outputs", low=1), *WEIGHT_KEYS)
LOCAL_KEYS = (
    *WEIGHT_KEYS,
    integer("channels", each=True, low=1),
    integer("padding", 0, each=True, low=0),
    integer("stride", 1, each=True, low=1),
    integer("filterSize", each=True, low=1),
    integer("filters", each=True, low=1),
    integer("groups", 1, each=True, low=1),
    flag("randSparse", False, each=True),
    text("initCFunc", "", grammar.read_init_function),
)
CONV_KEYS = (*LOCAL_KEYS, integer("partialSum", 0, low=0), flag("sharedBiases", True))

WEIGHT_PARAMS = (
    number("epsW", each=True),
    number("epsB"),
    number("momW", each=True),
    number("momB"),
    number("superEps", 0.0),
    number("superMom", 0.0),
    number("wc", 0.0, each=True),
    number("wball", 0.0, each=True),
    text("schedW", {"type": "default", "params": {}}, grammar.read_schedule),
    text("schedB", {"type": "default", "params": {}}, grammar.read_schedule),
)
CONV_PARAMS = (*WEIGHT_PARAMS, number("wcNormMax", 0.0, each=True), number("wcNormMin", 0.0, each=True))


MAX_NODES = 2**16 - 1  # of a class tree: the release numbers them with 16 bits


def derive_fc(draft: Draft) -> None:
    """Shapes of a fully-connected layer."""
    draft.set_outputs(draft["outputs"])
    _weights(draft, [(n, draft["outputs"]) for n in draft["numInputs"]], draft["numInputs"], (1, draft["outputs"]))


def derive_treefc(draft: Draft) -> None:
    """Shapes of a tree-structured fully-connected layer: one output per leaf, one weight column per node."""
    given = draft.value(text("tree", None, grammar.read_tree), draft.section)
    tree = draft.tree = draft.facts.tree or (given and Tree(*given))
    if tree is not draft.facts.tree:
        draft.tolerate("tree", "tree")
    hint = "pass tree=Tree(children, root), or write tree=... into the section"
    draft.check(tree is not None, "needs the class tree of the data set", hint=hint)
    _check_tree(draft, tree)
    shared = draft.section.find("weightSource")
    draft.check(shared is None or not shared.text.strip(", "), "is not allowed here", "weightSource")
    classes = sum(not children for children in tree.children)
    known = draft.facts.num_classes
    draft.check(known in (None, classes), "the tree has another number of leaves", expected=known, actual=classes)
    draft.values["rootLabel"] = tree.root
    draft.set_outputs(classes)
    inputs = draft["numInputs"]
    _weights(draft, [(inputs[0], len(tree.children))], inputs, (1, classes))


def _check_tree(draft: Draft, tree: Tree) -> None:
    """Raise unless each node is reached from the root exactly once and the leaves have the numbers 0 to C-1."""
    nodes = range(len(tree.children))
    draft.check(len(nodes) <= MAX_NODES, "the class tree is too large", expected=f"at most {MAX_NODES} nodes",
                actual=len(nodes))  # fmt: skip
    seen, stack = set(), [tree.root]
    while stack:
        node = stack.pop()
        draft.check(node in nodes and node not in seen, "the class tree is no tree", actual=node)
        seen.add(node)
        stack += tree.children[node]
    leaves = [node for node in nodes if not tree.children[node]]
    right = len(seen) == len(nodes) and leaves == list(range(len(leaves)))
    draft.check(right, "the class tree is no tree with its leaves numbered first")


def derive_local(draft: Draft) -> None:
    """Shapes of a locally connected layer: a filter bank per module."""
    _derive_filters(draft)
    modules, filters = draft["modules"], draft["filters"]
    shapes = [(modules * rows, filters) for rows in draft["weightsPerFilter"]]
    _weights(draft, shapes, draft["weightsPerFilter"], (modules * filters, 1))


def derive_conv(draft: Draft) -> None:
    """Shapes of a convolution."""
    _derive_filters(draft)
    modules, filters, part = draft["modules"], draft["filters"], draft["partialSum"]
    if part and modules % part:
        expected = f"0 or a divisor of {modules}"
        draft.warn("does not divide the number of modules", "partialSum", expected=expected, actual=part)
        draft.tolerate("kernel limit", "partialSum", part)
    if not draft.section.find("partialSum"):
        draft.tolerate("partialSum", "partialSum")
    shapes = [(rows, filters) for rows in draft["weightsPerFilter"]]
    biases = filters if draft["sharedBiases"] else modules * filters
    _weights(draft, shapes, draft["weightsPerFilter"], (biases, 1))


def _derive_filters(draft: Draft) -> None:
    """The geometry of each input of conv and local; all inputs must give the same output shape."""
    count = range(len(draft.inputs))
    groups = draft["groups"]
    totals = [draft["filters"][i] * groups[i] for i in count]
    sides = [_image_side(draft, i) for i in count]
    modules = [_modules(draft, i, sides[i]) for i in count]
    for key, values in (("filters", totals), ("filterSize", modules)):
        draft.check(
            len(set(values)) == 1, "the inputs give unequal output shapes", key,
            expected="equal filters*groups and equal modules", actual=values,
        )  # fmt: skip
    draft.values |= {
        "filters": totals[0],
        "imgSize": tuple(sides),
        "imgPixels": tuple(side * side for side in sides),
        "filterPixels": tuple(size * size for size in draft["filterSize"]),
        "modulesX": modules[0],
        "modules": modules[0] ** 2,
        "padding": tuple(-padding for padding in draft["padding"]),
    }
    draft.set_outputs(draft["modules"] * totals[0])
    draft.values["filterChannels"] = _filter_channels(draft)
    channels, filter_channels = draft["channels"], draft["filterChannels"]
    draft.values["overSample"] = tuple(groups[i] * filter_channels[i] // channels[i] for i in count)
    draft.values["weightsPerFilter"] = tuple(filter_channels[i] * draft["filterPixels"][i] for i in count)
    for i in count:
        _advise_kernel_limits(draft, i)


def _image_side(draft: Draft, i: int) -> int:
    """Side of the square images on input i."""
    values, channels = draft["numInputs"][i], draft["channels"][i]
    side = geometry.square_side(values, channels)
    draft.check(
        side > 0, f"input {i} ({draft.inputs[i].name}) is no stack of square images", "channels",
        expected=f"channels with {values} = channels*size*size", actual=channels,
    )  # fmt: skip
    return side


def _modules(draft: Draft, i: int, side: int) -> int:
    """Output side for input i."""
    size, padding = draft["filterSize"][i], draft["padding"][i]
    draft.check(
        padding < side + size, f"entry {i} is out of range", "padding",
        expected=f"0 to {side + size - 1}, less than image and filter together", actual=padding,
    )  # fmt: skip
    draft.check(
        draft["stride"][i] <= side + 2 * padding, f"entry {i} is out of range", "stride",
        expected=f"1 to {side + 2 * padding}, the padded image", actual=draft["stride"][i],
    )  # fmt: skip
    draft.check(
        size <= side + 2 * padding, f"filter {i} is larger than its padded image", "filterSize",
        expected=f"at most {side + 2 * padding}", actual=size,
    )  # fmt: skip
    return geometry.conv_modules(side, size, padding, draft["stride"][i])


def _filter_channels(draft: Draft) -> tuple[int, ...]:
    """Channels per filter: channels/groups, or the key of that name for sparse inputs (section 12)."""
    channels, groups, sparse = draft["channels"], draft["groups"], draft["randSparse"]
    count = range(len(draft.inputs))
    for i in count:
        draft.check(
            sparse[i] or channels[i] % groups[i] == 0, f"groups do not divide the channels of input {i}", "groups",
            expected=f"a divisor of {channels[i]}", actual=groups[i],
        )  # fmt: skip
    given = tuple(max(channels[i] // groups[i], 1) for i in count)
    if any(sparse) and draft.section.find("filterChannels"):
        given = draft.value(integer("filterChannels", each=True, low=1), draft.section)
    for i in count:
        _check_connections(draft, i, given[i])
    return given


def _check_connections(draft: Draft, i: int, given: int) -> None:
    """The identities of section 12 for input i with `given` channels per filter."""
    channels, groups = draft["channels"][i], draft["groups"][i]
    if not draft["randSparse"][i]:
        right, expected = given * groups == channels, f"{channels // groups} (channels/groups)"
    else:
        draft.check(groups > 1, f"input {i} is sparse", "groups", expected="more than 1 group", actual=groups)
        right = channels % given == 0 and groups * given % channels == 0
        expected = f"a divisor of {channels} whose product with {groups} groups is a multiple of {channels}"
    draft.check(right, f"input {i} has the wrong filterChannels", "filterChannels", expected=expected, actual=given)


def _advise_kernel_limits(draft: Draft, i: int) -> None:
    """Warn about sizes that the historical kernels refuse (3, 4 and 16), although the formulas allow them."""
    channels, groups, filters = draft["channels"][i], draft["groups"][i], draft["filters"]
    draft.kernel_limit(channels <= 3 or channels % 4 == 0, "channels", "at most 3, or a multiple of 4", channels)
    if groups > 1 and not draft["randSparse"][i]:
        draft.kernel_limit(channels % (4 * groups) == 0, "channels", f"a multiple of {4 * groups}", channels)
    draft.kernel_limit(filters % (16 * groups) == 0, "filters", "a multiple of 16 per group", filters // groups)


def _weights(
    draft: Draft, shapes: Sequence[tuple[int, int]], rows_per_filter: Sequence[int], bias_shape: tuple[int, int]
) -> None:
    """Shapes of the parameters, and the weight sources."""
    for i, shape in enumerate(shapes):
        draft.fits(shape[0] * shape[1], f"weights[{i}]")
    draft.values |= {
        "weightShapes": tuple(shapes),
        "biasShape": bias_shape,
        "weightsPerFilter": tuple(rows_per_filter),
        "gradConsumer": True,
    }
    _weight_sources(draft)


def _weight_sources(draft: Draft) -> None:
    """Resolve ``weightSource`` (section 11): raw entries, layer names, matrix indices."""
    count = len(draft.inputs)
    option = draft.section.find("weightSource")
    pieces = [piece.strip() for piece in option.text.split(",")] if option else [""] * count
    draft.check(len(pieces) == count, "needs one entry per input", "weightSource", expected=count, actual=len(pieces))
    sources = [_weight_source(draft, i, piece) for i, piece in enumerate(pieces)]
    draft.values |= {
        "weightSource": tuple(pieces),
        "weightSourceLayers": tuple(name for name, _ in sources),
        "weightSourceMatrixIndices": tuple(index for _, index in sources),
    }


def _check_rates(draft: Draft) -> None:
    """Raise unless the products that the solver forms of the constants alone are numbers of float32 too."""
    for ball in draft["wballNormed"]:
        draft.check(abs(ball) <= grammar.LARGEST, "times the filter's weights is beyond float32", "wball", actual=ball)
    rates = [(draft["epsB"], 0.0, "epsB", "schedB")]
    rates += [(eps, decay, "epsW", "schedW") for eps, decay in zip(draft["epsW"], draft["wc"], strict=True)]
    for eps, decay, key, schedule in rates:
        params = draft[schedule]["params"]
        largest = eps * max(1, 1 / params.get("tgtFactor", 1)) * (1 + 8 * params.get("noiseStdev", 0))
        for rate in (largest, largest * decay):
            right = abs(rate) <= grammar.LARGEST
            draft.check(right, "with its schedule, noise and decay is beyond float32", key, actual=rate)


def _weight_source(draft: Draft, i: int, piece: str) -> tuple[str, int]:
    """Check one entry and return (layer name, index)."""
    try:
        name, index = grammar.read_weight_source(piece)
    except ValueError as error:
        raise draft.error("cannot be read", "weightSource", expected=str(error), actual=piece) from None
    if not name:
        return name, index
    source = draft if name == draft.name else draft.earlier.get(name)
    if source is None:
        raise draft.error("there is no such layer above", "weightSource", actual=name)
    for what, own, theirs in (("type", draft.type, source.type), ("gpu", draft["gpu"], source["gpu"])):
        draft.check(own == theirs, f"{name} has another {what}", "weightSource", expected=own, actual=theirs)
    shapes = source["weightShapes"]
    limit = i if source is draft else len(shapes)
    draft.check(index < limit, f"{name} has no such matrix", "weightSource", expected=f"below {limit}", actual=index)
    own = draft["weightShapes"][i]
    draft.check(shapes[index] == own, f"{name} has another shape", "weightSource", expected=own, actual=shapes[index])
    if "randSparse" in draft.values and (draft["randSparse"][i] or source["randSparse"][index]):
        for key in ("randSparse", "groups", "channels", "filterChannels"):
            theirs, mine = source[key][index], draft[key][i]
            draft.check(theirs == mine, f"{name} has another {key}", "weightSource", expected=mine, actual=theirs)
    return name, index


def finish_params(draft: Draft) -> None:
    """Values derived from the parameters of a layer with weights, and warnings about odd ones."""
    of_2014 = any((one.rule, one.layer) == ("rates of 2014", draft.name) for one in draft.tolerances)
    pairs = zip(draft["wball"], draft["weightsPerFilter"], strict=True)
    draft.values["wballNormed"] = tuple(ball if of_2014 else ball * rows for ball, rows in pairs)
    draft.values["gradConsumer"] = draft["epsB"] > 0 or any(eps > 0 for eps in draft["epsW"])
    for key in ("epsW", "epsB", "momW", "momB", "wc", "wball"):
        value = draft[key]
        lowest = min(value) if isinstance(value, tuple) else value
        draft.advise(lowest >= 0, "is negative", key, actual=lowest)
    _check_rates(draft)
    for low, high in zip(draft.values.get("wcNormMin", ()), draft.values.get("wcNormMax", ()), strict=True):
        draft.check(low <= high, "is above wcNormMax", "wcNormMin", expected=f"at most {high}", actual=low)
    sources = zip(draft["weightSourceLayers"], draft["weightSourceMatrixIndices"], strict=True)
    for i, (name, index) in enumerate(sources):
        source = draft if name == draft.name else draft.earlier.get(name)
        frozen = source is not None and draft["epsW"][i] > 0 and not source["epsW"][index] > 0
        draft.advise(not frozen, f"matrix {i} is frozen, because its owner {name} has the rate 0 for it", "epsW")

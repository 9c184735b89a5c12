"""Layers from layer files: values, derived sizes, tolerant rules, errors (config-format specification)."""

from pathlib import Path

import pytest

from alexnet_rosetta import harness
from alexnet_rosetta.port.config import ConfigError, Tree, grammar, load_network, read_sections

NETS = Path(harness.__file__).parent / "network" / "shipped"

TOP = """
[fc]
type=fc
inputs={below}
outputs=4
initW=.1
[probs]
type=softmax
inputs=fc
[cost]
type=cost.logreg
inputs=labels,probs
"""
DATA = "[data]\ntype=data\ndataIdx=0\ndims=768\n[labels]\ntype=data\ndataIdx=1\n"
RATES = "epsW=.1\nepsB=.2\nmomW=.9\nmomB=.8\n"
PARAMS = f"[fc]\n{RATES}[cost]\ncoeff=1\n"


def network(layer="", params="", below="data", **facts):
    """A network with `layer` (text of sections) between the data and a classifier, which sits on `below`."""
    return load_network(DATA + layer + TOP.format(below=below), PARAMS + params, **facts)


def one(layer, params="", **facts):
    """The spec of a single layer x over the data, with the section [x] of the parameter file."""
    return network(f"[x]\ninputs=data\n{layer}\n", f"[x]\n{params}\n" if params else "", "x", **facts)["x"]


CONV = "type=conv\nchannels=3\nfilters=16\nfilterSize=5\ninitW=.01\n"
POOL = "type=pool\npool=max\nchannels=3\nsizeX=3\nstride=2\n"
NORM = "channels=3\nsize=2\n"


def test_conv_geometry():
    spec = one(CONV + "padding=1\nstride=2\ninitB=1", RATES + "wc=.004\nwball=2")
    assert (spec["imgSize"], spec["modulesX"], spec.outputs) == ((16,), 8, 1024)  # 13/2 rounds up
    assert (spec["padding"], spec["weightShapes"], spec["biasShape"]) == ((-1,), ((75, 16),), (16, 1))
    assert (spec["wballNormed"], spec["gradConsumer"], spec["initB"]) == ((150,), True, 1)
    assert (spec["imgPixels"], spec["filterPixels"], spec["weightsPerFilter"]) == ((256,), (25,), (75,))


def test_unshared_biases_and_groups():
    text = "[a]\ninputs=data\n" + CONV.replace("16", "32") + "[x]\ninputs=a\ntype=conv\nchannels=32\nfilters=16\n"
    text += "groups=2\nsharedBiases=0\nfilterSize=3\ninitW=1\n"
    spec = network(text, f"[a]\n{RATES}[x]\n{RATES}", "x")["x"]
    assert (spec["filters"], spec["filterChannels"], spec["weightShapes"]) == (32, (16,), ((144, 32),))
    assert spec["biasShape"] == (32 * 10 * 10, 1)


def test_scalars_stand_for_all_inputs():
    text = f"[x]\ninputs=data,data\n{CONV}padding=0,1\nstride=1,1\nfilterSize=3,5\n"
    spec = network(text, f"[x]\n{RATES}", "x")["x"]
    assert (spec["channels"], spec["initW"], spec["epsW"], spec["padding"]) == (
        (3, 3),
        (0.01,) * 2,
        (0.1,) * 2,
        (0, -1),
    )


@pytest.mark.parametrize(
    ("extra", "outputs"),
    [("", 8), ("start=-2", 9), ("outputsX=4", 4), ("sizeX=2", 8), ("sizeX=16", 1), ("stride=3", 6)],
)
def test_pool_outputs(extra, outputs):
    spec = one(POOL + extra)
    assert (spec["outputsX"], spec.outputs) == (outputs, 3 * outputs**2)


@pytest.mark.parametrize(("kind", "divisor"), [("cmrnorm", 2), ("rnorm", 4), ("cnorm", 4)])
def test_norm_scale_is_divided_by_the_window(kind, divisor):
    assert one(f"type={kind}\n{NORM}", "scale=.5\npow=.75")["scale"] == 0.5 / divisor


def test_oldest_norm_dialect():
    spec = one("type=rnorm\nchannels=3\nsizeX=3\nscale=.9\npow=.5")
    assert (spec["size"], spec["scale"], spec["pow"]) == (3, 0.9 / 9, 0.5)
    assert one("type=rnorm\nchannels=3\nsizeX=3\nscale=.9\npow=.5", "scale=.18")["scale"] == 0.18 / 9


@pytest.mark.parametrize(
    ("layer", "params", "derived"),
    [
        ("type=local\nchannels=3\nfilters=16\nfilterSize=9\ninitW=1", RATES, {"weightShapes": ((64 * 243, 16),)}),
        ("type=neuron\nneuron=tanh[1.5e0, -.5]", "", {"outputs": 768}),
        ("type=hs\nkeep=.5", "enable=no", {"enable": False}),
        ("type=nailbed\nchannels=3\nstride=5", "", {"outputsX": 4, "start": 0, "imgPixels": 256, "imgSize": 16}),
        ("type=nailbed\nchannels=3\nstride=3", "", {"outputsX": 6, "start": 0, "outputs": 108}),
        ("type=blur\nchannels=3\nfilterSize=5\nstdev=1", "", {"imgSize": 16}),
        ("type=href\nchannels=3", "", {"outputs": 768}),
        ("type=resize\nchannels=3\nscale=1.5", "", {"tgtSize": 10, "outputs": 300}),
        ("type=rscale\nchannels=3\nmaxScale=1.5", "", {"tgtSize": 10}),
        ("type=rscale\nchannels=3\nmaxScale=1.5\ntgtSize=16", "", {"tgtSize": 16}),
        ("type=rgb2yuv", "", {"channels": 3}),
        ("type=rgb2lab\ncenter=on", "", {"center": True}),
        ("type=pool\npool=rand\nchannels=3\nsizeX=2\nstride=2", "doMax=1", {"doMax": True, "requiresParams": True}),
        ("type=softmax", "", {"outputs": 768}),
        ("type=concat", "", {"copyOffsets": (0,)}),
        ("type=concat\ninputs=data,data,labels", "", {"copyOffsets": (0, 768, 1536), "outputs": 1537}),
        ("type=eltsum\ncoeffs=-1", "", {"coeffs": (-1,)}),
        ("type=eltsum", "coeffs=3", {"coeffs": (3,)}),
    ],
)
def test_other_types(layer, params, derived):
    spec = one(layer, params)
    assert {key: spec[key] for key in derived} == derived


@pytest.mark.parametrize(
    ("kind", "inputs", "params", "classes"),
    [
        ("cost.sum2", "data", "", None),
        ("cost.gsum2", "labels,data", "", None),
        ("cost.msm", "labels,fc", "setSize=3\nthreads=2", 4),
        ("cost.msm", "labels,fc", "setSize=1\nthreads=2", 4),
        ("cost.crossent", "fc,probs", "", 4),
        ("cost.crossent2", "fc,fc", "", 4),
        ("cost.rflickr", "fc,fc", "", 4),
        ("cost.tica", "data", "", None),
    ],
)
def test_costs(kind, inputs, params, classes):
    text = TOP.format(below="data") + f"[x]\ntype={kind}\ninputs={inputs}\nchannels=3\nsizeX=3\n"
    spec = load_network(DATA + text, PARAMS + f"[x]\ncoeff=2\n{params}", num_classes=classes)["x"]
    assert (spec.outputs, spec["coeff"]) == (0, 2)


@pytest.mark.parametrize("kind", ["msm", "crossent", "crossent2", "rflickr"])
def test_costs_have_a_value_for_each_class(kind):
    first, second = {"msm": ("labels", "fc"), "crossent": ("fc", "probs")}.get(kind, ("fc", "fc"))
    text = DATA + TOP.format(below="data").replace("[cost]\ntype=cost.logreg\ninputs=labels,probs\n", "")
    text += f"[sum]\ntype=cost.gsum2\ninputs=labels,probs\n[x]\ntype=cost.{kind}\ninputs={first},{second}\n"
    params = PARAMS.replace("[cost]", "[sum]") + "[x]\ncoeff=1\nsetSize=1\nthreads=1\n"
    assert load_network(text, params, num_classes=4)["x"].outputs == 0
    with pytest.raises(
        ConfigError, match="inputs: the second input must have one value per class; expected 5; actual 4"
    ):
        load_network(text, params, num_classes=5)


def test_tree_layer():
    text = "[x]\ntype=treefc\ninputs=data\ninitW=1\n[sum]\ntype=cost.sum2\ninputs=x\n"
    params = PARAMS + f"[x]\n{RATES}[sum]\ncoeff=1\n"
    tree = Tree(((), (), (), (0, 1), (2, 3)), 4)
    spec = load_network(DATA + text + TOP.format(below="data"), params, tree=tree)["x"]
    assert (spec.outputs, spec["weightShapes"], spec["rootLabel"]) == (3, ((768, 5),), 4)
    for bad in (
        None,
        Tree(((), (), (0, 1), (2, 2)), 3),
        Tree(((0,),), 0),
        Tree(((1,), ()), 0),
        Tree(((), (), (0, 1)), 7),
    ):
        with pytest.raises(ConfigError, match="tree"):
            load_network(DATA + text + TOP.format(below="data"), params, tree=bad)


def test_offsets_of_a_tree_are_not_shared():
    tree = Tree(((), (), (0, 1)), 2)
    assert one("type=treefc\ninitW=1\nweightSource=", RATES, tree=tree)["weightSourceLayers"] == ("",)
    with pytest.raises(ConfigError, match="weightSource: is not allowed here"):
        one("type=treefc\ninitW=1\nweightSource=x", RATES, tree=tree)


def test_neurons_are_detached_after_their_source():
    net = network(
        f"[x]\ninputs=data\n{CONV}neuron=relu\n[x_neuron]\ntype=concat\ninputs=x,x\n", f"[x]\n{RATES}", "x_neuron"
    )
    assert [layer.name for layer in net][2:5] == ["x", "x_neuron.1", "x_neuron"]
    assert net["x_neuron.1"]["neuron"] == {"type": "relu", "params": {}, "usesActs": True, "usesInputs": False}
    assert net["x_neuron.1"]["src_layer"] == "x"
    assert net["x_neuron"].inputs == ("x_neuron.1", "x_neuron.1")


def test_a_neuron_for_which_no_name_is_left():
    taken = ["x_neuron", *(f"x_neuron.{i}" for i in range(1, 100))]
    others = "".join(f"[{name}]\ntype=concat\ninputs=data\n" for name in taken)
    with pytest.raises(ConfigError, match="no name is left for its neuron layer"):
        network(f"[x]\ninputs=data\n{CONV}neuron=relu\n{others}", f"[x]\n{RATES}", "x")


def test_quantiser_of_a_detached_neuron_is_its_sources():
    net = network(f"[x]\ninputs=data\n{CONV}neuron=relu\n", f"[x]\n{RATES}quantF=half\n", "x")
    assert net["x_neuron"]["quantF"] == net["x"]["quantF"] == {"type": "half", "params": {}}
    assert net["fc"]["quantF"]["type"] == "default"


def test_weight_sharing():
    text = f"[a]\ninputs=data\n{CONV}[x]\ninputs=data,data\nweightSource=a,x[0]\n{CONV}[s]\ntype=eltsum\ninputs=a,x\n"
    spec = network(text, f"[a]\n{RATES}[x]\n{RATES}", "s")["x"]
    assert (spec["weightSourceLayers"], spec["weightSourceMatrixIndices"]) == (("a", "x"), (0, 0))
    own = one(CONV, RATES)
    assert (own["weightSourceLayers"], own["weightSourceMatrixIndices"]) == (("",), (-1,))
    text = f"[a]\ninputs=data\n{CONV}[pair]\ntype=concat\ninputs=data,data\n[s]\ntype=eltsum\ninputs=a,y\n"
    grouped = CONV.replace("=3", "=6").replace("16", "8") + "groups=2\n"  # the filters fit, whatever the groups
    text = text.replace("[s]", f"[y]\ninputs=pair\nweightSource=a\n{grouped}[s]")
    assert network(text, f"[a]\n{RATES}[y]\n{RATES}", "s")["y"]["weightSourceLayers"] == ("a",)


def test_wrong_sources_of_weights():
    text = f"[a]\ninputs=data\n{CONV}[x]\ninputs=data,data\nweightSource=a,x[0]\n{CONV}[s]\ntype=eltsum\ninputs=a,x\n"
    own = f"[b]\ninputs=data\nweightSource=a\n{CONV}filterSize=3\n[s]\ntype=concat\ninputs=a,b\n"
    with pytest.raises(ConfigError, match=r"weightSource: a has another shape; expected \(27, 16\); actual \(75, 16\)"):
        network(f"[a]\ninputs=data\n{CONV}{own}", f"[a]\n{RATES}[b]\n{RATES}", "s")
    for source in ("a", "a,b", "a,x[1]", "a[1],x", "x,x", "a,probs", "a[,x", "a b,x"):
        with pytest.raises(ConfigError, match="weightSource"):
            network(text.replace("a,x[0]", source), f"[a]\n{RATES}[x]\n{RATES}", "s")


def test_sparse_connections():
    sparse = "[a]\ninputs=data\n" + CONV + "[x]\ninputs=a\ntype=conv\nchannels=16\nfilters=16\nfilterSize=1\ninitW=1\n"
    sparse += "randSparse=1\ngroups=4\nfilterChannels={}\n"
    spec = network(sparse.format(8), f"[a]\n{RATES}[x]\n{RATES}", "x")["x"]
    assert (spec["overSample"], spec["weightShapes"]) == ((2,), ((8, 64),))
    for bad in (5, 2, 32):
        with pytest.raises(ConfigError, match="filterChannels"):
            network(sparse.format(bad), f"[a]\n{RATES}[x]\n{RATES}", "x")


@pytest.mark.parametrize(
    ("text", "params"),
    [
        ("default", {}),
        ("default[]", {}),
        ("exp[1000]", {"tgtFactor": 1000, "noiseStdev": 0}),
        ("linear[1,.5]", {"tgtFactor": 1, "noiseStdev": 0.5}),
        ("dexp[500,4]", {"tgtFactor": 500, "noiseStdev": 0, "numSteps": 4}),
        ("JDEXP [ 500 , .25 , 4 ]", {"tgtFactor": 500, "noiseStdev": 0.25, "numSteps": 4}),
        ("dexp[TgtFactor = 250,noisestdev=0,numSteps=4]", {"tgtFactor": 250, "noiseStdev": 0, "numSteps": 4}),
    ],
)
def test_schedules(text, params):
    schedule = one(CONV, f"{RATES}schedW={text}")["schedW"]
    assert schedule == {"type": text.split("[")[0].strip().lower(), "params": params}


@pytest.mark.parametrize("text", ["2147483647", "-2147483647", "+5", "007"])
def test_whole_numbers(text):
    assert grammar.read_int(text) == int(text)


@pytest.mark.parametrize("text", ["2147483648", "-2147483648", "1e1", "", "0x1", "1_0", " 1", "9" * 30])
def test_no_whole_numbers(text):
    with pytest.raises(ValueError, match=r"^an integer of at most 31 bits$"):
        grammar.read_int(text)


def test_a_type_that_is_nearly_another_is_told():
    with pytest.raises(ConfigError, match=r"is no layer type; actual 'softmx'; hint: did you mean softmax\?"):
        load_network(DATA + "[x]\ntype=softmx\ninputs=data\n", PARAMS)


def test_sections_alone_are_read_without_salvage_unless_told():
    damaged = "x[s]\na=1\n"
    assert read_sections(damaged, salvage=True) == {"s": {"a": "1"}}
    with pytest.raises(ConfigError, match="an option before the first section"):
        read_sections(damaged)


def test_what_the_default_section_gives_is_found_there():
    with pytest.raises(ConfigError, match=r"^<text>:2: \[fc\] gpu: cannot be read"):
        load_network("[DEFAULT]\ngpu=x\n" + DATA + TOP.format(below="data"), PARAMS)


@pytest.mark.parametrize(("weights", "biases"), [(0, 0), (0.5, 0), (0, 0.5), (-0.5, 0), (0, -0.5)])
def test_a_layer_takes_part_in_training_if_it_has_a_rate(weights, biases):
    spec = one(CONV, RATES + f"epsW={weights}\nepsB={biases}\n")
    assert spec["gradConsumer"] == (max(weights, biases) > 0)


def test_a_type_that_is_like_no_other_is_answered_with_all_types():
    with pytest.raises(ConfigError, match=r"the types are .*conv, .*softmax"):
        load_network(DATA + "[x]\ntype=qqqqqq\ninputs=data\n", PARAMS)


@pytest.mark.parametrize(("count", "more"), [(1, ""), (2, r" \(and 1 more\)"), (4, r" \(and 3 more\)")])
def test_the_first_line_that_is_none_is_shown_and_the_others_are_counted(count, more):
    with pytest.raises(ConfigError, match=rf":2: not a line of a layer file{more}; expected"):
        load_network("[data]\n" + "nothing\n" * count + "type=data\n", PARAMS)


def test_dimensions_of_the_data():
    without = DATA.replace("dims=768\n", "") + TOP.format(below="data")
    assert load_network(without, PARAMS)["data"].outputs == 150528
    assert load_network(without, PARAMS, data_dims=[30, 1])["fc"]["weightShapes"] == ((30, 4),)
    assert load_network(without, PARAMS, data_dims={0: 20})["data"].outputs == 20
    with pytest.raises(ConfigError, match="dims="):
        load_network(without.replace("dataIdx=1", "dataIdx=2"), PARAMS)


def test_dimensions_that_were_assumed_are_said():
    fitting = DATA.replace("dims=768\n", "") + TOP.format(below="data")
    (warning,) = load_network(fitting, PARAMS).warnings
    assert "[data] dims: is missing: 150528 values per case are assumed" in warning
    assert load_network(fitting, PARAMS, data_dims=[30, 1]).warnings == ()
    assert load_network(fitting.replace("dataIdx=0", "dataIdx=0\ndims=3"), PARAMS).warnings == ()


@pytest.mark.parametrize(
    "layer",
    [
        CONV.replace("channels=3", "channels=1"),
        CONV.replace("filterSize=5", "filterSize=300"),
        POOL.replace("channels=3", "channels=2"),
        "type=softmax\n[y]\ntype=cost.tica\ninputs=x\nchannels=2\nsizeX=1\n",
    ],
)
def test_dimensions_that_were_assumed_are_named_where_something_does_not_fit(layer):
    hint = "hint: a data section has no dims=, so 150528 values per case were assumed"
    for data in (DATA, DATA.replace("dims=768\n", "")):
        text = data + f"[x]\ninputs=data\n{layer}\n" + TOP.format(below="x")
        with pytest.raises(ConfigError) as error:
            load_network(text, PARAMS + f"[x]\n{RATES}")
        assert (hint in str(error.value)) == (data != DATA)


def test_a_slip_in_a_key_is_named():
    text = DATA + f"[x]\ninputs=data\n{CONV.replace('filters=', 'filtres=')}"
    with pytest.raises(ConfigError, match=r"filters: is missing.*hint: was filtres, in line \d+, meant\?"):
        load_network(text, "")
    with pytest.raises(ConfigError, match="initW: is missing") as found:
        load_network(DATA + f"[x]\ninputs=data\n{CONV.replace('initW=', 'initB=')}", "")
    assert "hint" not in str(found.value)


def test_forward_passes_need_no_rates():
    layers = f"[x]\ninputs=data\n{CONV}[h]\ntype=hs\ninputs=x\nkeep=.5\n"
    text = DATA + layers + TOP.format(below="h")
    spec = load_network(text, forward_only=True)
    assert spec.has_params
    assert (spec["x"]["epsW"], spec["fc"]["epsB"], spec["cost"]["coeff"], spec["h"]["enable"]) == ((0,), 0, 1, True)
    assert spec.warnings == (
        "no parameter file: values that the forward pass does not need are missing; "
        "taken: epsW=0, epsB=0, momW=0, momB=0, coeff=1, enable=1",
    )
    given = load_network(text, f"[x]\nepsW=.5\n[fc]\n{RATES}[h]\nenable=0\n", forward_only=True)
    assert (given["x"]["epsW"], given["x"]["momB"], given["fc"]["epsW"], given["h"]["enable"]) == (
        (0.5,),
        0,
        (0.1,),
        False,
    )
    assert [warning.endswith("taken: epsB=0, momW=0, momB=0, coeff=1") for warning in given.warnings] == [True]
    with pytest.raises(ConfigError, match="epsB: is missing"):
        load_network(text, "[x]\nepsW=.5\n")
    with pytest.raises(ConfigError, match=r"\[n\] has no section in the parameter file"):
        network(f"[n]\ntype=rnorm\ninputs=data\n{NORM}", below="n", forward_only=True)
    whole = load_network(NETS / "tiny.cfg", NETS / "tiny-params.cfg", forward_only=True)
    assert whole == load_network(NETS / "tiny.cfg", NETS / "tiny-params.cfg")


def test_sizes_that_the_kernels_of_the_time_took():
    blur = "type=blur\nchannels=3\nstdev=1\nfilterSize="
    for size in (3, 5, 7, 9, 11):
        warnings = network(f"[x]\ninputs=data\n{blur}{size}\n", below="x").warnings
        assert ["expected 3, 5, 7 or 9; actual 11" in warning for warning in warnings] == [True] * (size == 11)
    pair = "[pair]\ntype=concat\ninputs=data,data\n[x]\ninputs=pair\n" + CONV.replace("=3", "=6")
    (warning,) = network(pair, f"[x]\n{RATES}", "x").warnings
    assert "channels: the historical kernels do not take this; expected at most 3, or a multiple of 4" in warning
    for channels, warned in ((12, 1), (48, 0)):
        cmrnorm = f"[x]\ninputs=data\ntype=cmrnorm\nchannels={channels}\nsize=2\n"
        assert len(network(cmrnorm, "[x]\nscale=1\npow=1\n", "x").warnings) == warned
    pool = "[a]\ntype=fc\ninputs=data\noutputs={}\ninitW=1\n[x]\ninputs=a\n" + POOL.replace("=3\nsize", "={}\nsize")
    for channels, warned in ((24, 1), (48, 0)):
        warnings = network(pool.format(16 * channels, channels), f"[a]\n{RATES}", "x").warnings
        assert ["expected a multiple of 16; actual 24" in warning for warning in warnings] == [True] * warned


def test_windows_as_large_as_the_padded_image():
    spec = one(CONV + "padding=1\nstride=18\nfilterSize=18", RATES)
    assert (spec["modulesX"], spec["weightsPerFilter"]) == (1, (972,))
    assert one(CONV + "padding=20\nfilterSize=5", RATES)["modulesX"] == 52
    for key, wrong, words in (
        ("padding", "padding=21", "0 to 20, less than image and filter together"),
        ("stride", "padding=1\nstride=19", "1 to 18, the padded image"),
        ("filterSize", "padding=1\nfilterSize=19", "at most 18"),
    ):
        with pytest.raises(ConfigError, match=f"{key}: .*; expected {words}; actual"):
            one(CONV + wrong, RATES)


def test_the_least_denominator_that_float32_can_raise():
    cmrnorm = "type=cmrnorm\n" + NORM
    assert one(cmrnorm, "scale=1\npow=63.4\nminDiv=0.25")["minDiv"] == 0.25
    for power in (63.5, 63.6):
        with pytest.raises(ConfigError, match=f"minDiv: to the power of -{power} is beyond float32"):
            one(cmrnorm, f"scale=1\npow={power}\nminDiv=0.25")
    assert one(cmrnorm, "scale=0\npow=-1\nminDiv=4")["scale"] == 0


def test_the_largest_class_tree(monkeypatch):
    monkeypatch.setattr("alexnet_rosetta.port.config.weight_types.MAX_NODES", 5)
    layer, tree = "type=treefc\ninitW=1", Tree(((), (), (), (0, 1), (2, 3)), 4)
    assert one(layer, RATES, tree=tree)["weightShapes"] == ((768, 5),)
    monkeypatch.setattr("alexnet_rosetta.port.config.weight_types.MAX_NODES", 4)
    with pytest.raises(ConfigError, match="the class tree is too large; expected at most 4 nodes; actual 5"):
        one(layer, RATES, tree=tree)


def test_a_range_is_told():
    for layer, words in ((CONV + "stride=0", "at least 1"), ("type=hs\nkeep=2", "0 to 1")):
        with pytest.raises(ConfigError, match=f"out of range; expected {words}; actual"):
            one(layer)


def test_targets_of_a_sigmoid_cost_are_held_against_a_logistic_neuron():
    cost = "[x]\ntype=cost.crossent2\ninputs=fc,{}\n"
    neuron = "[s]\ntype=neuron\ninputs=fc\nneuron=logistic\n"
    for layers, warned in ((cost.format("fc"), 1), (neuron + cost.format("s"), 0)):
        found = load_network(DATA + TOP.format(below="data") + layers, PARAMS + "[x]\ncoeff=1\n").warnings
        assert ["the second input should be a logistic neuron" in warning for warning in found] == [True] * warned


def test_quantisers():
    assert one(CONV, RATES)["quantB"] == {"type": "default", "params": {}}
    assert one(CONV, RATES + "quantF=Half [ ]\n")["quantF"] == {"type": "half", "params": {}}
    for wrong in ("half[1]", "halves", "default[x]", "[half]"):
        with pytest.raises(ConfigError, match="quantB: cannot be read; expected default or half"):
            one(CONV, RATES + f"quantB={wrong}\n")


def test_only_random_pooling_has_a_switch_to_the_maximum():
    assert one(POOL.replace("max", "rand"), "doMax=yes")["doMax"]
    assert "doMax" not in one(POOL.replace("max", "avg"), "doMax=yes")


def test_the_largest_blur():
    layer = "[x]\ninputs=data\ntype=blur\nchannels=3\nfilterSize={}\nstdev=1\n"
    text = DATA.replace("768", str(3 * 300**2)) + layer + TOP.format(below="x")
    assert load_network(text.format(255), PARAMS)["x"]["filterSize"] == 255
    with pytest.raises(ConfigError, match="filterSize: is out of range; expected 1 to 255; actual 256"):
        load_network(text.format(256), PARAMS)


def test_noise_of_eight_deviations_must_leave_a_rate_of_float32():
    schedule = RATES + "epsB=1\nschedB=linear[tgtFactor=1,noiseStdev={}]\n"
    assert one(CONV, schedule.format("4.2e37"))["epsB"] == 1
    assert one(CONV, RATES + "epsB=3e38\n")["epsB"] == 3e38
    for wrong in (schedule.format("4.3e37"), schedule.replace("epsB=1", "epsB=2e38").format(".125")):
        with pytest.raises(ConfigError, match="epsB: with its schedule, noise and decay is beyond float32"):
            one(CONV, wrong)


def test_numbers_of_the_release_that_nothing_here_derives():
    """The release fills them in as it lays out memory."""
    net = network("[x]\ninputs=data\ntype=softmax\nneuron=relu\n", below="x")
    neuron = net["x_neuron"]
    assert (neuron["forceOwnActs"], neuron["gradConsumer"], neuron["requiresParams"]) == (False, False, False)
    for layer in net:
        assert [layer[key] for key in ("actsTarget", "actsGradTarget", "conserveMem")] == [-1, -1, 0]


def test_devices():
    net = load_network(DATA + TOP.format(below="data").replace("outputs=4", "outputs=4\ngpu=3"), PARAMS)
    assert [layer["gpu"] for layer in net] == [-1, -1, 3, 3, -1]


def test_without_parameters():
    net = load_network(DATA + TOP.format(below="data"))
    assert not net.has_params
    assert "epsW" not in net["fc"]
    assert net["fc"]["gradConsumer"]


def test_specs_are_read_only_and_dicts_are_copies():
    spec = one(CONV, RATES)
    with pytest.raises(TypeError):
        spec.keys["filters"] = 1
    spec.to_dict()["weightShapes"].clear()
    assert spec.to_dict()["weightShapes"] == [[75, 16]]
    assert (spec.lines["filters"], spec.line, spec.get("absent", 7)) == (12, 8, 7)


@pytest.mark.parametrize(
    ("layer", "params", "part"),
    [
        (CONV + "colour=red", RATES, "colour: is unknown"),
        (CONV + "epsW=1", RATES, "epsw: belongs in the other file"),
        (CONV, RATES + "sched=exp[1000]", "sched: is ignored"),
        (CONV, RATES + "wcNorm=0", "wcnorm: is obsolete"),
        (CONV, RATES + "superMom=0", "supermom: is read"),
        (CONV + "sumWidth=3", RATES, "sumwidth: belongs"),
        (CONV + "partialSum=5", RATES, "partialSum: does not divide"),
        (CONV + "randSparse=yes", RATES, "randSparse: entry 0 counts as false"),
        (CONV.replace("16", "12"), RATES, "filters: the historical kernels"),
        (
            CONV.replace("=3", "=12") + "groups=2",
            RATES,
            "channels: the historical kernels do not take this; expected a multiple of 8",
        ),
        (
            CONV.replace("=3", "=48").replace("=5", "=3").replace("16", "8") + "groups=2",
            RATES,
            "filters: the historical kernels do not take this; expected a multiple of 16 per group; actual 8",
        ),
        (CONV, RATES.replace("=.1", "=-.1"), "epsW: is negative"),
        (CONV, f"{RATES}[nobody]\na=1", "[nobody] matches no layer"),
        ("type=cmrnorm\n" + NORM, "scale=1\npow=1", "channels: the historical kernels"),
        ("type=rnorm\n" + NORM, "scale=1\npow=-.75", "pow: is negative"),
        (CONV + "initB=-1e30", RATES, "initB: is so large that results may be beyond float32; actual -1e+30"),
        ("type=neuron\nneuron=linear[1,1e20]", "", "neuron: is so large"),
    ],
)
def test_warnings(layer, params, part):
    warnings = network(f"[x]\ninputs=data\n{layer}\n", f"[x]\n{params}\n", "x").warnings
    assert [part in warning for warning in warnings] == [True]


BAD_LAYERS = [
    ("type", "inputs=data"),
    ("type", "type=convolution"),
    ("inputs", "type=softmax\ninputs=y"),
    ("inputs", "type=softmax\ninputs=fc"),
    ("inputs", "type=softmax\ninputs=x"),
    ("inputs", "type=softmax\ninputs=data,data"),
    ("inputs", "type=softmax\ninputs="),
    ("inputs", "type=eltmax"),
    ("inputs", "type=eltmax\ninputs=data,labels"),
    ("gpu", "type=softmax\ngpu=-1"),
    ("gpu", "type=softmax\ngpu=0,x"),
    ("neuron", "type=neuron"),
    ("neuron", "type=neuron\nneuron=cube"),
    ("neuron", "type=softmax\nneuron=tanh[1]"),
    ("neuron", "type=softmax\nneuron=tanh[1,,2]"),
    ("neuron", "type=softmax\nneuron=relu[]"),
    ("neuron", "type=softmax\nneuron=drelu[0]"),
    ("channels", CONV.replace("channels=3", "channels=4")),
    ("channels", CONV.replace("channels=3", "channels=0")),
    ("channels", CONV.replace("channels=3", "")),
    ("filterSize", CONV + "filterSize=17"),
    ("filterSize", CONV + "filterSize=1e1"),
    ("filterSize", CONV + "inputs=data,data\nstride=1,2"),
    ("filters", CONV + "inputs=data,data\nfilters=16,32"),
    ("padding", CONV + "padding=-1"),
    ("padding", CONV + "padding=1,1"),
    ("stride", CONV + "stride=0"),
    ("groups", CONV + "groups=2"),
    ("groups", CONV + "randSparse=1"),
    ("sharedBiases", CONV + "sharedBiases=maybe"),
    ("initW", CONV.replace("initW=.01", "")),
    ("initW", CONV + "initW=nan"),
    ("initW", CONV + "initW=1e999"),
    ("initWFunc", CONV + "initWFunc=os.system(ls)"),
    ("initWFunc", CONV + "initWFunc=initw.makew()"),
    (None, CONV + "filters=1000000000"),
    (None, CONV + "padding=20\nfilterSize=5\nfilters=1000000"),
    ("padding", CONV + "padding=21"),
    ("padding", CONV + "padding=1000000000"),
    ("stride", CONV + "padding=1\nstride=19"),
    ("stride", "type=nailbed\nchannels=3\nstride=17"),
    ("initW", CONV + "initW=3.5e38"),
    ("initW", CONV + "initW=1e-39"),
    ("initB", CONV + "initB=-1e308"),
    ("coeffs", "type=eltsum\ncoeffs=1e308"),
    ("neuron", "type=softmax\nneuron=tanh[1e308,1]"),
    ("outputs", "type=fc\ninitW=1\noutputs=0"),
    ("outputs", "type=fc\ninitW=1\noutputs=99999999999999999999"),
    (None, "type=fc\ninitW=1\noutputs=2147483647"),
    (None, "type=resize\nchannels=768\nscale=2"),
    ("pool", POOL + "pool=sum"),
    ("sizeX", POOL + "sizeX=17"),
    ("sizeX", POOL + "sizeX=0"),
    ("stride", POOL + "stride=0"),
    ("stride", POOL + "stride=4"),
    ("start", POOL + "start=16"),
    ("start", POOL + "start=-3"),
    ("start", POOL + "outputsX=9"),
    ("start", POOL + "outputsX=10"),
    ("outputsX", POOL + "outputsX=-1"),
    ("size", "type=cmrnorm\nchannels=3\nsize=4"),
    ("size", "type=cmrnorm\nchannels=3\nsize=1"),
    ("size", "type=rnorm\nchannels=3\nsize=0"),
    ("size", "type=cnorm\nchannels=3\nsize=17"),
    ("filterSize", "type=blur\nchannels=3\nfilterSize=0\nstdev=1"),
    ("size", "type=rnorm\nchannels=3"),
    ("keep", "type=hs\nkeep=1.5"),
    ("stdev", "type=blur\nchannels=3\nfilterSize=3\nstdev=0"),
    ("maxScale", "type=rscale\nchannels=3\nmaxScale=3"),
    ("tgtSize", "type=rscale\nchannels=3\nmaxScale=2\ntgtSize=4"),
    ("inputs", "type=cost.logreg\ninputs=labels,data"),
    ("inputs", "type=cost.gsum2\ninputs=data,data"),
    ("channels", "type=cost.tica\nchannels=5\nsizeX=2"),
    ("sizeX", "type=cost.tica\nchannels=3\nsizeX=17"),
    ("sizeX", "type=cost.tica\nchannels=3\nsizeX=2147483646"),
]


@pytest.mark.parametrize(("key", "layer"), BAD_LAYERS)
def test_bad_layers(key, layer):
    with pytest.raises(ConfigError) as caught:
        one(layer)
    error = caught.value
    assert (error.layer, error.key, error.file) == ("x", key, "<text>")
    assert str(error).startswith(f"<text>:{error.line}: [x] ")
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("key", "layer", "params"),
    [
        (None, CONV, ""),
        ("epsW", CONV, "epsB=1"),
        ("epsW", CONV, RATES + "epsW=1,2"),
        ("epsW", CONV, RATES + "epsW=dexp[base=1;tgtFactor=2]"),
        ("epsW", CONV, RATES + "epsW=exp[tgtFactor=2;base=1]"),
        ("epsB", CONV, RATES + "epsB=exp[base=x;tgtFactor=2]"),
        ("epsB", CONV, RATES + "epsB=exp[base=1;tgtFactor=2]\nschedB=default"),
        ("schedW", CONV, RATES + "epsW=exp[base=1;tgtFactor=0]"),
        ("momB", CONV, RATES + "momB=x"),
        ("schedW", CONV, RATES + "schedW=dexp[5]"),
        ("schedW", CONV, RATES + "schedW=exp[tgtFactor=1=2,noiseStdev=0]"),
        ("schedW", CONV, RATES + "schedW=dexp[numSteps=4,tgtFactor=5,noiseStdev=0]"),
        ("schedW", CONV, RATES + "schedW=exp"),
        ("schedW", CONV, RATES + "schedW=exp[0]"),
        ("schedB", CONV, RATES + "schedB=dexp[2,-1,3]"),
        ("schedB", CONV, RATES + "schedB=cosine[1]"),
        ("schedW", CONV, RATES + "schedW=jdexp[tgtFactor=10,noiseStdev=.1,numSteps=2147483647]"),
        ("schedB", CONV, RATES + "schedB=dexp[tgtFactor=10,noiseStdev=.1,numSteps=1000001]"),
        ("schedW", CONV, RATES + "schedW=exp[tgtFactor=1e308,noiseStdev=0]"),
        ("epsW", CONV, RATES + "epsW=1e308"),
        ("epsW", CONV, RATES + "epsW=1e20\nwc=-1e20"),
        ("epsW", CONV, RATES + "epsW=1\nschedW=exp[tgtFactor=2,noiseStdev=1e38]"),
        ("epsB", CONV, RATES + "epsB=1e20\nschedB=linear[tgtFactor=1e-20,noiseStdev=0]"),
        ("momW", CONV, RATES + "momW=3.5e38"),
        ("wc", CONV, RATES + "wc=-1e308"),
        ("wball", CONV, RATES + "wball=1e37"),
        ("pow", "type=cmrnorm\n" + NORM, "scale=1\npow=1e308"),
        ("pow", "type=rnorm\n" + NORM, "scale=1\npow=7.5e9"),
        ("pow", "type=cnorm\n" + NORM, "scale=1\npow=-1001"),
        ("scale", "type=rnorm\n" + NORM, "scale=-1\npow=1"),
        ("minDiv", "type=cmrnorm\n" + NORM, "scale=1\npow=1\nminDiv=0"),
        ("minDiv", "type=cmrnorm\n" + NORM, "scale=1\npow=1\nminDiv=-2"),
        ("minDiv", "type=cmrnorm\n" + NORM, "scale=1\npow=100\nminDiv=0.25"),
        ("wcNormMin", CONV, RATES + "wcNormMin=2\nwcNormMax=1"),
        ("quantF", CONV, RATES + "quantF=int8"),
        ("scale", "type=cmrnorm\n" + NORM, "pow=1"),
        ("scale", "type=cmrnorm\n" + NORM + "scale=1", "pow=1"),
        ("pow", "type=rnorm\n" + NORM, "scale=%(pow)s\npow=%(scale)s"),
        ("enable", "type=hs\nkeep=.5", "enable="),
    ],
)
def test_bad_parameters(key, layer, params):
    with pytest.raises(ConfigError) as caught:
        one(layer, params)
    assert caught.value.layer == "x"
    assert caught.value.key == key or "%" in str(caught.value)


NAMES = ["..", ".", "a/b", "/abs", "../../trav", "a\\b", "x\x1bcy", "nul\0", "\x9b2J", "\u202egpj", "é" * 51, "n" * 101]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_are_refused_are_not_printed_raw(name):
    text = DATA + f"[{name}]\ntype=softmax\ninputs=data\n{name}=1\n"
    with pytest.raises(ConfigError, match="is no layer name") as caught:
        load_network(text, PARAMS)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_names_and_keys_of_no_meaning_are_not_printed_raw():
    odd = "\x1bcé\x07" + "n" * 200
    params = f"{PARAMS}[{odd}]\n{odd}=1\n{odd}=2\n[{odd}]\n"
    warnings = load_network(DATA + f"{odd}=1\n" + TOP.format(below="data"), params).warnings
    assert len(warnings) == 4
    for warning in warnings:
        assert "\\x1bcé\\x07n" in warning
        assert warning.isprintable()
        assert len(warning) < 300


def test_names_may_have_accents_dollars_and_formulas():
    names = ["é" * 50, "$\\alpha$".replace("\\", ""), "=1+1", "<b>", "a b", "conv-1_x.y"]
    text = "".join(f"[{name}]\ntype=softmax\ninputs=data\n" for name in names)
    spec = network(f"{text}[x]\ntype=concat\ninputs={','.join(names)}\n", below="x")
    assert [layer.name for layer in spec][2 : 2 + len(names)] == names


def test_notes_are_not_without_number():
    warnings = network(params="[nobody]\n" * 300).warnings
    assert len(warnings) == 101
    assert warnings[-1] == "200 more notes on these files are left out"


@pytest.mark.parametrize("size", [0, 4, 5])
def test_a_set_has_fewer_classes_than_there_are(size):
    text = DATA + TOP.format(below="data") + "[x]\ntype=cost.msm\ninputs=labels,fc\n"
    with pytest.raises(ConfigError, match=f"setSize: is out of range; expected 1 to 3; actual {size}"):
        load_network(text, PARAMS + f"[x]\ncoeff=1\nsetSize={size}\nthreads=1\n")


def test_large_sets_and_trees_are_refused():
    msm = "[x]\ntype=cost.msm\ninputs=labels,data\n"
    data = DATA.replace("768", "5000")
    with pytest.raises(ConfigError, match="setSize: times the number of classes is too large"):
        load_network(data + msm + TOP.format(below="data"), PARAMS + "[x]\ncoeff=1\nsetSize=4000\nthreads=1\n")
    tree = Tree((*[()] * 60_000, *((i,) for i in range(6_000))), 66_000)
    with pytest.raises(ConfigError, match="the class tree is too large; expected at most 65535 nodes"):
        one("type=treefc\ninitW=1", RATES, tree=tree)


def test_bad_networks():
    good = DATA + TOP.format(below="data")
    for text, what in (
        ("\n", "has no layers"),
        (DATA + "[x]\ntype=softmax\ninputs=data\n", "not used"),
        (good + "[a,b]\ntype=softmax\ninputs=data\n", "no layer name"),
        (good + "[x]\ntype=concat\ninputs=cost\n", "produces no output"),
        (good + "[x]\ntype=rgb2yuv\ninputs=fc\n", "passes no gradient"),
        (good.replace("inputs=labels,probs", "inputs=data,probs"), "one value per case"),
    ):
        with pytest.raises(ConfigError, match=what):
            load_network(text, PARAMS)
    with pytest.raises(ConfigError, match="one value per class"):
        load_network(good, PARAMS, num_classes=5)
    with pytest.raises(ConfigError, match="topk"):
        load_network(good, PARAMS + "topk=5\n")


@pytest.mark.parametrize(("net", "parameters"), [("alexnet", 60_965_224), ("cifar", 89_578), ("tiny", 53_930)])
def test_shipped_networks(net, parameters):
    spec = load_network(NETS / f"{net}.cfg", NETS / f"{net}-params.cfg")
    assert (spec.parameter_count, spec.warnings) == (parameters, ())


def test_alexnet_is_the_papers():
    spec = load_network(NETS / "alexnet.cfg", NETS / "alexnet-params.cfg")
    assert [spec[f"pool{n}a"]["outputsX"] for n in (1, 2, 5)] == [27, 13, 6]
    assert [spec[f"conv{n}b"]["modulesX"] for n in range(1, 6)] == [55, 27, 13, 13, 13]
    assert [spec[f"conv{n}b"]["initB"] for n in range(1, 6)] == [0, 1, 0, 1, 1]
    assert [spec[f"conv{n}b"]["modules"] % spec[f"conv{n}b"]["partialSum"] for n in range(1, 6)] == [0] * 5
    norm = spec["rnorm1a"]
    assert (norm["scale"], norm["pow"], norm["minDiv"]) == (1e-4, 0.75, 2)


LATER = ["sfc", "sum", "cmpool", "crop", "pass", "dropout", "dropout2", "cost.bce", "cost.dce"]


@pytest.mark.parametrize("later", LATER)
def test_layer_types_of_2014_are_told_apart(later):
    with pytest.raises(ConfigError, match=r"layer type of cuda-convnet2 \(2014\) only"):
        one(f"type={later}")

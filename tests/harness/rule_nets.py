"""A network for the rules of learning: shared matrices, sparse connections, constraints, superEps, noisy rates."""

from small_nets import RATES

from alexnet_rosetta.harness.network.net import Net

DEFINITION, PARAMS = (
    Net(192)
    .add("labels", "data", dataIdx=1)
    .add(
        "conv1",
        "conv",
        "data",
        RATES | {"superEps": 0.1},
        channels=3,
        filters=16,
        filterSize=3,
        padding=1,
        stride=1,
        initW=0.3,
        partialSum=0,
        sharedBiases=1,
        neuron="nrelu",
    )
    .add(
        "sparse1",
        "conv",
        "conv1",
        RATES | {"wcNormMin": 0.02, "wcNormMax": 0.0225},
        channels=16,
        filters=16,
        groups=2,
        randSparse=1,
        filterChannels=8,
        filterSize=3,
        padding=1,
        stride=1,
        initW=0.2,
        partialSum=0,
    )
    .add(
        "again1",
        "conv",
        "sparse1",
        RATES | {"wball": 0.006, "schedW": "linear[10,0.5]"},
        channels=32,
        filters=32,
        filterSize=3,
        padding=1,
        stride=1,
        initW=0.1,
        partialSum=0,
    )
    .add(
        "again2",
        "conv",
        "again1",
        RATES | {"epsW": 0.03, "momW": 0.5, "wc": 0, "schedB": "linear[10,0.5]"},
        channels=32,
        filters=32,
        filterSize=3,
        padding=1,
        stride=1,
        initW=0.1,
        partialSum=0,
        weightSource="again1",
    )
    .add("pool1", "pool", "again2", {"doMax": "false"}, pool="rand", channels=32, sizeX=3, stride=2)
    .add(
        "local1", "local", "pool1", RATES | {"wball": 0.006}, channels=32, filters=16, filterSize=3, stride=1, initW=0.1
    )
    .add(
        "fc1",
        "fc",
        "local1",
        {"epsW": 0.01, "epsB": 0.02, "momW": 0.9, "momB": 0.9, "superEps": 0.1},
        outputs=64,
        initW=0.1,
    )
    .add("fc2", "fc", "fc1", RATES | {"wc": 0.01, "schedW": "dexp[10,0.5,4]"}, outputs=64, initW=0.1)
    .add(
        "fc3",
        "fc",
        "fc2,fc1",
        RATES | {"epsW": "0.03,0.02", "momW": "0.5,0.5", "wc": "0,0", "schedW": "exp[10,2]"},
        outputs=64,
        initW="0.1,0.1",
        weightSource="fc2,fc3[0]",
    )
    .add(
        "fc4", "fc", "fc3", {"epsW": 0.01, "epsB": 0.02, "momW": 0.9, "momB": 0.9, "wball": 0.01}, outputs=10, initW=0.1
    )
    .softmax_cost("fc4", coeff=1)
    .files()
)

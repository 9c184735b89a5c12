"""The option that chooses the port's algorithm of convolution."""

import pytest

from alexnet_rosetta.harness import compare
from alexnet_rosetta.harness.errors import BadInput

DEFINITION = """
[data]
type=data
dataIdx=0
dims=1024

[labels]
type=data
dataIdx=1
dims=1

[conv]
type=conv
inputs=data
channels=16
filters=16
padding=1
stride=1
filterSize=3
initW=0.1
partialSum=8
sharedBiases=1

[fc]
type=fc
inputs=conv
outputs=4
initW=0.1

[probs]
type=softmax
inputs=fc

[cost]
type=cost.logreg
inputs=labels,probs
"""
PARAMETERS = """
[conv]
epsW=0.01
epsB=0.01
momW=0.9
momB=0.9
wc=0

[fc]
epsW=0.01
epsB=0.01
momW=0.9
momB=0.9
wc=0

[cost]
coeff=1
"""


@pytest.fixture
def net(tmp_path):
    (tmp_path / "net.cfg").write_text(DEFINITION, encoding="utf-8")
    (tmp_path / "params.cfg").write_text(PARAMETERS, encoding="utf-8")
    return {"net": str(tmp_path / "net.cfg"), "params": str(tmp_path / "params.cfg")}


def outputs(net, algorithm):
    result = compare(**net, engines=("port",), batch=4, input="random", port_algorithm=algorithm)
    rows = result.rows
    row = rows[(rows["layer"] == "conv") & (rows["tensor"] == "acts")]
    return result, row[["worst_actual", "share", "differing", "ulps"]].to_numpy().tolist()


def test_algorithms_differ_in_their_rounding_and_agree_with_the_reference(net):
    found = {name: outputs(net, name) for name in ("direct", "winograd", "auto")}
    assert found["auto"][1] == found["winograd"][1] != found["direct"][1]
    assert found["direct"][0].exit_code == found["auto"][0].exit_code == 0


def test_an_unknown_algorithm_is_refused(net):
    with pytest.raises(BadInput, match="no algorithm 'fft'"):
        compare(**net, engines=("port",), port_algorithm="fft")

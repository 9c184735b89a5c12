"""One element explained: what is said of clean engines, of planted differences, and of what cannot be asked."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from small_nets import write_net
from strict_engine import Strict

from alexnet_rosetta.harness.checks.faults.fault import on_input, on_result, on_weights, to_half
from alexnet_rosetta.harness.checks.faults.planted import Mutant, Mutation
from alexnet_rosetta.harness.engines.legacy import LegacyCpu
from alexnet_rosetta.harness.engines.port import Port
from alexnet_rosetta.harness.errors import BadInput
from alexnet_rosetta.harness.running.prepare import Options, prepare
from alexnet_rosetta.harness.study.explain import explain, explained


@pytest.fixture(scope="module")
def work():
    return prepare(Options("tiny", batch=4, threads=1))


def planted(work, layer, forward=None, backward=None, update=None):
    """A workload of an engine of 2012 with a wrong result in one layer, and the clean port."""
    results = {"forward": forward, "backward": backward, "update": update}
    results = {step: wrong for step, wrong in results.items() if wrong}
    return replace(work, engines=[Mutant(LegacyCpu(), Mutation(layer, results=results)), Port()])


def said(found, engine="legacy-cpu+fault"):
    """What is found about an engine."""
    return " ".join(text for text in found.findings if text.startswith(f"{engine}: "))


def without_a_tap(layer, weights):
    weights = weights.copy()
    weights[31] = 0  # channel 1, y 1, x 1 of 5 x 5
    return weights


def second_best(layer, x):
    """The images without the pixel that wins the first window."""
    x = x.copy()
    maps = x.reshape(32, 8, 8, -1)
    y, column = np.unravel_index(maps[0, :3, :3, 0].argmax(), (3, 3))
    maps[0, y, column, 0] = -1e30
    return x


def test_a_tap_left_out_is_named(work):
    work = planted(work, "conv1", {"acts": on_weights(without_a_tap)})
    found = explained(work, "conv1", "forward", at=(3, 4, 4, 1))
    assert "as with data[1, 8, 8] · w[1, 1, 1] = " in said(found)
    assert said(found).endswith("left out")
    assert "not" not in said(found, "port")
    assert "the replay gives these bits" not in found.accounts["legacy-cpu+fault"].note


def test_a_bias_taken_twice_is_named(work):
    twice = on_result(lambda layer, acts: acts + layer.read("biases")[0])
    found = explained(planted(work, "conv1", {"acts": twice}), "conv1", "forward", at=(3, 4, 4, 1))
    assert "what is added to the sum" in said(found)
    assert said(found).endswith("taken twice")


def test_another_winner_of_a_window_is_named(work):
    found = explained(planted(work, "pool1", {"acts": on_input(second_best)}), "pool1", "forward", at=(0, 0, 0, 0))
    decision = found.element.decision
    values = sorted((value for _, value in decision.candidates), reverse=True)
    runner_up = next(what for what, value in decision.candidates if value == values[1])
    assert said(found) == f"legacy-cpu+fault: what another choice gives: {runner_up}"
    assert decision.margin == pytest.approx(values[0] - values[1])
    assert "the engines did not decide alike" in found.findings


def test_a_sign_that_comes_through_is_named(work):
    through = on_result(lambda layer, acts: layer.inputs[0])
    work = planted(work, "fc1_neuron", {"acts": through})
    found = explained(work, "fc1_neuron", "forward")
    x = next(float(account.value) for account in found.accounts.values() if account.value)
    assert x < 0
    assert said(found) == "legacy-cpu+fault: what another choice gives: positive"
    assert found.element.decision.margin == -x


def test_half_precision_is_named(work):
    found = explained(planted(work, "conv2a", {"acts": on_result(to_half)}), "conv2a", "forward")
    assert said(found) == "legacy-cpu+fault: the right value rounded to half precision"


def test_a_wrong_sign_is_named(work):
    minus = on_result(lambda layer, grad: -grad)
    found = explained(planted(work, "conv1", backward={"weights_grad[0]": minus}), "conv1", "backward")
    assert said(found) == "legacy-cpu+fault: the right value with its sign turned"


@pytest.mark.skipif(not LegacyCpu().arithmetic().fused, reason="this build fuses nothing")
def test_the_first_partial_sum_that_differs_is_the_first_whose_product_rounds(work):
    """Two builds of the same kernels: the same order, products rounded or not. The step is found again in fractions."""
    found = explained(replace(work, engines=[LegacyCpu(), Strict()]), "conv2a", "forward", at=(3, 4, 4, 1))
    fused, unfused = (account.trace.steps for account in found.accounts.values())
    assert [step.term for step in fused] == [step.term for step in unfused]
    a, b, one, two, first = found.element.a, found.element.b, np.float32(0), np.float32(0), None
    for k, step in enumerate(fused[:-1]):
        product = Fraction(float(a[step.term])) * Fraction(float(b[step.term]))
        one = np.float32(float(Fraction(float(one)) + product))  # no tie among these values
        two = two + a[step.term] * b[step.term]
        if one != two:
            first = k
            break
    assert first is not None
    (sentence,) = [text for text in found.findings if text.startswith("first partial sum whose bits differ")]
    assert sentence.startswith(f"first partial sum whose bits differ: step {first + 1}, {fused[first].what}: ")
    rounding = float(Fraction(float(one)) - product - Fraction(float(fused[first - 1].value if first else 0)))
    assert f"legacy-cpu has {one:.9g}" in sentence
    assert f"rounded by {rounding:+.3g}; strict has {two:.9g}" in sentence


def test_clean_engines_decide_alike_and_use_little_of_their_bounds(work):
    found = explained(work, "pool1", "forward", at=(5, 1, 2, 3))
    assert "the engines decided alike" in found.findings
    assert found.facts["where"] == "image 3, rocket: rows 1 to 13, columns 5 to 15 of data"
    assert "legacy/kernels/pool.cuh:" in found.facts["kernel"]
    assert found.facts["port"].startswith("pool.max_pool_forward port/pool.py:")


def test_where_the_order_is_a_library_s_only_the_value_is_shown(work):
    found = explained(work, "fc1", "forward")
    assert {account.note for account in found.accounts.values()} == {
        "the order of these additions is that of the BLAS library: its value only"
    }
    assert all(account.value is not None for account in found.accounts.values())
    assert found.columns() == {}


def test_a_switch_that_is_turned_has_no_replay():
    found = explain("tiny", "pool1", "backward", batch=4, engines=("port",), quirks=("max-ties-full=off",))
    assert found.accounts["port"].note == "max-ties-full is turned: its value only"


def test_by_default_it_is_the_element_that_used_most_of_its_bound(work):
    from alexnet_rosetta.harness.running.sweep import Sweep

    found = explained(work, "conv2b", "forward")
    row = next(row for row in Sweep(replace(work, passes=("forward",))).rows() if row.layer == "conv2b")
    worst = max(row.findings.values(), key=lambda one: one.share).worst
    assert found.title == f"tiny: conv2b forward acts at {row.where(worst)}"
    assert (found.reference, found.bound) == (worst.reference, worst.bound)


def test_names_are_escaped_in_a_notebook_and_no_formulas_in_a_figure(tmp_path):
    net = write_net(tmp_path, name=r"a&$\x$b")
    found = explain(net, "conv1", "forward", batch=2, input="random", engines=("port",))
    assert found._repr_html_().startswith(r"<pre>a&amp;$\x$b: conv1 forward")
    found.figure().savefig(tmp_path / "figure.svg")


def test_where_the_orders_part_is_said_with_what_each_engine_rounded_first(work):
    """The engine of 2012 takes four taps of a channel, the port a tap of every channel."""
    found = explained(work, "conv1", "forward", at=(3, 4, 4, 1)).findings
    taken = "legacy-cpu takes data[0, 7, 8] · w[0, 0, 1], port takes data[1, 7, 7] · w[1, 0, 0]"
    assert found[0] == f"the orders part at operand 2: {taken}"
    assert [text.partition(": ")[0] for text in found[1:]] == 2 * [
        "first partial sum that is not the exact one rounded"
    ]
    assert "legacy-cpu has" in found[1]
    assert "port has" in found[2]


def test_the_figure_has_a_curve_for_every_engine_whose_sums_are_known(work):
    found = explained(work, "pool2", "forward")
    curves = found.figure().axes[0].lines
    assert len(curves) == 3  # two engines, and the zero line
    assert len(found.figure().axes[0].lines[0].get_xdata()) == len(found.element.a)
    assert explained(work, "fc1", "forward").figure().axes[0].get_legend() is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("conv9", "forward"), "has no layer 'conv9' to explain"),
        (("data", "forward"), "has no layer 'data' to explain"),
        (("conv1", "sideways"), "there is no pass 'sideways' to explain"),
        (("conv1", "test"), "there is no pass 'test' to explain"),
        (("conv1", "forward", "biases"), "conv1 forward leaves no tensor biases"),
        (("pool1", "update"), "pool1 update leaves no tensor"),
    ],
)
def test_what_there_is_not_is_said_in_one_line(work, arguments, message):
    with pytest.raises(BadInput, match=message):
        explained(work, *arguments)


@pytest.mark.parametrize("at", [(1, 2), (16, 0, 0, 0), (0, 0, 0, 4), (-1, 0, 0, 0), ()])
def test_a_place_outside_the_tensor_names_the_axes(work, at):
    with pytest.raises(BadInput, match="channel below 16, y below 8, x below 8, image below 4"):
        explained(work, "conv1", "forward", at=at)

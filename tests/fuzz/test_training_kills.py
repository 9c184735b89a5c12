"""A training of both engines that is killed, and that other bits would be noticed."""

import small_data
import small_nets
from small_data import settings, train

from . import training_kills


def test_a_killed_training_ends_in_the_same_bits(tmp_path):
    """Killed as soon as there is a checkpoint, while the curves are drawn."""
    net, data = small_nets.write_net(tmp_path, *small_data.LEARNS), small_data.write_data(tmp_path / "data")
    asked = settings(net, data, engine="both", epochs=2, test_freq=1)
    train(asked, tmp_path / "whole")
    whole = training_kills.outcome(tmp_path / "whole")
    assert set(whole) == {"legacy-cpu", "port"}
    words = (net, "--data", data, "--engine", "both", "--epochs", "2", "--test-freq", "1")
    words += ("--batch", "16", "--threads", "1")
    assert training_kills.trial(words, whole, [(0.01, 7)]).startswith("goes on after ")


def test_other_bits_are_noticed(tmp_path):
    net, data = small_nets.write_net(tmp_path, *small_data.LEARNS), small_data.write_data(tmp_path / "data")
    found = []
    for seed in (0, 0, 1):
        train(settings(net, data, updates=1, seed=seed), tmp_path / f"{len(found)}")
        found.append(training_kills.outcome(tmp_path / f"{len(found)}"))
    assert found[0] == found[1] != found[2]

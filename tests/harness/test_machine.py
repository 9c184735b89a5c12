from alexnet_rosetta.harness import machine, networks, run


def test_the_environment_is_plain_and_complete():
    facts = machine.environment(2)
    assert facts["threads"] == 2
    assert facts["packages"]["numpy"]
    assert facts["processor"]


def test_memory_grows_with_batch_and_engines():
    network = networks.load("tiny")
    small = run.memory_needed(network, 8, 1)
    assert run.memory_needed(network, 16, 1) > small
    assert run.memory_needed(network, 8, 2) > small


def test_alexnet_with_two_engines_fits_in_twelve_gigabytes():
    assert run.memory_needed(networks.load("alexnet"), 128, 2) < 12 * 2**30


def test_a_system_that_says_nothing_refuses_nothing(monkeypatch):
    monkeypatch.setattr(machine, "available_memory", lambda: None)
    run.check_memory(networks.load("alexnet"), 10**6, 2)


def test_limits_of_a_control_group_count(monkeypatch):
    monkeypatch.setattr(machine, "_control_group", lambda: 5)
    assert machine.available_memory() == 5

"""The fuzzers' runner itself: it must not miss what a trial does wrong."""

import faulthandler
import os
import signal
import time

from . import runner


def planted(rng, wrong):
    """Fifty trials of which some are wrong."""
    number = int(rng.integers(10))
    if number == 3:
        return wrong()
    return "accepted" if number > 5 else "refused"


def crash():
    """A crash, without the page that pytest's fault handler would print of one that is wanted."""
    faulthandler.disable()
    os.kill(os.getpid(), signal.SIGSEGV)


def divide():
    """A defect."""
    return 1 / 0


def findings(wrong, **options):
    """Outcomes and findings of 50 trials."""
    result = runner.run(lambda rng: planted(rng, wrong), seed=1, count=50, **options)
    assert sum(result.outcomes.values()) == 50
    return result.outcomes, result.findings


def test_a_clean_run_counts_every_outcome():
    outcomes, found = findings(lambda: "accepted")
    assert found == []
    assert set(outcomes) == {"accepted", "refused"}


def test_an_exception_is_found_with_its_trial_and_its_traceback():
    outcomes, found = findings(divide)
    assert outcomes["finding"] == len(found) > 1
    number = int(found[0].split()[1])
    (again,) = runner.run(lambda rng: planted(rng, divide), seed=1, first=number, count=1).findings
    assert again.startswith(f"trial {number} of seed 1: ")
    assert "ZeroDivisionError" in again


def test_a_crash_is_found_and_the_run_goes_on():
    outcomes, found = findings(crash)
    assert outcomes["died"] == len(found) > 1
    assert "SIGSEGV" in found[0]


def test_a_slow_trial_is_found_unless_it_may_be_interrupted():
    def sleep():
        time.sleep(60)

    assert "slow" in findings(sleep, patience=0.1)[1][0]
    outcomes, found = findings(sleep, patience=0.1, interruptible=True)
    assert outcomes["interrupted"] > 1
    assert found == []


def test_a_trial_that_takes_no_interrupt_is_killed(monkeypatch):
    monkeypatch.setattr(runner, "LAST_WORDS", 0.1)

    def deaf():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        time.sleep(60)

    found = findings(deaf, patience=0.1, interruptible=True)[1]
    assert "hangs: signal SIGKILL" in found[0]

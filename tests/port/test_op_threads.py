"""Numbers of threads: the setting, BLAS's own threads, and results that do not depend on either."""

import numpy as np
import pytest
from op_checks import assert_same_bits_on_any_number_of_threads
from threadpoolctl import threadpool_info, threadpool_limits

from alexnet_rosetta.port import conv, norm, pool, solver, threads


@pytest.fixture(autouse=True)
def default_threads():
    yield
    threads.set_threads(None)


def test_the_setting():
    threads.set_threads(3)
    assert threads.get_threads() == (3 if threads.has_openmp() else 1)
    threads.set_threads(None)
    assert threads.get_threads() >= 1
    with pytest.raises(ValueError, match="at least 1"):
        threads.set_threads(0)


@pytest.mark.parametrize(("words", "count"), [("", 3), ("2", 2), ("2,1", 2), ("0", 3), ("many", 3)])
def test_by_default_the_environment_decides_and_then_the_processors_of_this_process(monkeypatch, words, count):
    threads._default_threads.cache_clear()
    monkeypatch.setenv("OMP_NUM_THREADS", words)
    monkeypatch.setattr(
        threads.os, "sched_getaffinity", lambda process: {4, 5, 6} if process == 0 else {}, raising=False
    )
    assert threads.get_threads() == (count if threads.has_openmp() else 1)
    threads._default_threads.cache_clear()


def test_blas_gets_its_threads_back():
    def counts():
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    with threadpool_limits(2, user_api="blas"):
        before = counts()
        with threads.single_threaded_blas():
            assert set(counts()) == {1}
        assert counts() == before


def test_small_problems_get_fewer_threads():
    threads.set_threads(4)
    most = threads.get_threads()
    assert threads.threads_for(0) == threads.threads_for(2 * threads.GRAIN - 1) == 1
    assert threads.threads_for(2 * threads.GRAIN) == min(2, most)
    assert threads.threads_for(10**12) == most


def test_bits_of_pooling_and_norms_do_not_depend_on_the_number_of_threads(monkeypatch):
    rng = np.random.default_rng(0)
    x, g = rng.standard_normal((2, 16, 9, 9, 70), dtype=np.float32)

    def run():
        acts, denoms = norm.cmrnorm_forward(x, size=5, scale=0.3, power=0.75)
        dnorm = norm.cmrnorm_backward(x, acts, denoms, g, size=5, scale=0.3, power=0.75)
        top = pool.max_pool_forward(x, size=3, stride=2)
        dmax = pool.max_pool_backward(x, top, top, size=3, stride=2)
        davg = pool.avg_pool_backward(top, img_size=9, size=3, stride=2)
        return acts, dnorm, top, dmax, pool.avg_pool_forward(x, size=3, stride=2), davg

    assert_same_bits_on_any_number_of_threads(run, monkeypatch)


def test_an_update_and_sums_of_gradients_have_the_same_bits_on_any_number_of_threads(monkeypatch):
    rng = np.random.default_rng(0)
    values, inc, grads = rng.standard_normal((3, 5, 2**16 + 3)).astype(np.float32)
    acts = rng.standard_normal((7, 4, 4, 33)).astype(np.float32)

    def run():
        own = values.copy(), inc.copy()
        solver.update(*own, grads, eps=0.1, mom=0.9, decay=0.01)
        return *own, conv.conv_backward_biases(acts), conv.conv_backward_biases(acts, shared=False)

    assert_same_bits_on_any_number_of_threads(run, monkeypatch)


def test_what_fails_on_a_thread_fails():
    threads.each(lambda part: None, 2)
    with pytest.raises(ZeroDivisionError):
        threads.each(lambda part: 1 / (part - 1), 2)

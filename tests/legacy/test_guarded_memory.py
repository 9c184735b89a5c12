"""The engine reads nothing in front of its arguments and nothing behind them."""

import faulthandler
import os

import numpy as np
import pytest
from guarded_memory import guarded
from toy_calls import CALLS

from alexnet_rosetta.legacy import isa, use_isa


def guard(value, at_end):
    return guarded(value, at_end) if isinstance(value, np.ndarray) and value.dtype == np.float32 else value


def outputs(call, *arguments, **named):
    made = call.func(*arguments, **named)
    return [array.tobytes() for array in (made if isinstance(made, tuple) else [made]) if array is not None]


@pytest.mark.parametrize("module", isa.available())
@pytest.mark.parametrize("cases", [6, 32, 62])
def test_nothing_is_read_beside_an_argument(cases, module):
    with use_isa(module):
        for make in CALLS.values():
            call = make(cases)
            for at_end in (True, False):
                named = {name: guard(value, at_end) for name, value in call.keywords.items()}
                found = outputs(call, *(guard(value, at_end) for value in call.args), **named)
                assert found == outputs(call, *call.args, **call.keywords)


def test_whoever_reads_beside_a_guarded_array_dies():
    for at_end in (True, False):
        child = os.fork()
        if not child:
            faulthandler.disable()
            array = guarded(np.ones((3, 5), np.float32), at_end)
            np.lib.stride_tricks.as_strided(array.reshape(-1)[-1:] if at_end else array[:1, :1].reshape(-1), (2,),
                                            (4 if at_end else -4,)).sum()  # fmt: skip
            os._exit(0)
        assert os.WIFSIGNALED(os.waitpid(child, 0)[1])

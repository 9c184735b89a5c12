"""A plugin of pytest that puts the mutant of the variable ROSETTA_MUTANT (file and number) into the tests."""

import builtins
import os

from .check import ROOT
from .ladder import install
from .mutate import MARK, mutated

file, number = os.environ["ROSETTA_MUTANT"].rsplit(" ", 1)
setattr(builtins, MARK, lambda: None)
install(file, ROOT / file, mutated(ROOT / file, int(number)))

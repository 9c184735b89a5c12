"""Switches between what the engine of 2012 computed and what was meant, or what other frameworks compute.

Off, a *defect* of the historical code is not there: the port's default. On, a *convention* is that of 2012: the port's
default too, so that it runs the same network. The names are those of the project's quirk ledger, where each has a
paragraph (docs/quirks.md).
"""

from collections.abc import Mapping
from types import MappingProxyType

DEFECTS = (
    "cnorm-ignores-means",
    "conv-oversample-overwrites",
    "crossent2-sign",
    "href-overwrites",
    "lab-exponent",
    "local-norm-block-offset",
    "msm-log-shortcuts",
    "norm-undo-add-inverted",
    "one-row-vectors",
    "resize-clamp",
    "shared-fc-overwrites",
    "softrelu-gradient-at-output",
    "super-eps-mean-not-squared",
    "tica-accumulate-root",
    "tica-window-not-mirrored",
)
CONVENTIONS = (
    "abs-slope-at-zero",
    "avg-pool-clipped-area",
    "decay-in-momentum",
    "dropout-disabled-scales",
    "dropout-scales-in-test",
    "max-ties-full",
    "nrelu-noise-is-activation",
    "rate-in-momentum",
    "softrelu-cut",
    "yuv-coefficients",
)
DEFAULTS = MappingProxyType({**dict.fromkeys(DEFECTS, False), **dict.fromkeys(CONVENTIONS, True)})
"""Where each switch stands unless told otherwise."""


def positions(given: Mapping[str, bool] | None = None) -> dict[str, bool]:
    """All switches as a dict, with some of them set.

    Parameters
    ----------
    given : mapping of str to bool, optional

    Raises
    ------
    ValueError
        No switch has that name.
    """
    found = dict(DEFAULTS)
    for name, on in (given or {}).items():
        if name not in found:
            raise ValueError(f"quirks: expected one of {', '.join(found)}; actual {name!r}")
        found[name] = bool(on)
    return found

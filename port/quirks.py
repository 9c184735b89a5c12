"""Switches for the quirks of 2012: its defects, and its conventions that other frameworks do not have.

A *defect* is an error of the historical code; the switch is off by default, and the port computes what was meant. A
*convention* is a choice of 2012; the switch is on by default, so that the port runs the same network. The names are
those of the quirk ledger (docs/quirks.md), which has a paragraph for each.
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
"""The default position of each switch."""


def positions(given: Mapping[str, bool] | None = None) -> dict[str, bool]:
    """All switches as a dict, with some of them set. Raises ValueError: no switch has that name."""
    found = dict(DEFAULTS)
    for name, on in (given or {}).items():
        if name not in found:
            raise ValueError(f"quirks: expected one of {', '.join(found)}; actual {name!r}")
        found[name] = bool(on)
    return found

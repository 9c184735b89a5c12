"""For the tests of others: `assert_equivalent`, and with pytest the fixture ``rosetta`` (`plugin`).

Importing this package loads nothing heavy, since pytest imports the plugin wherever this project is installed.
"""

from typing import Any

__all__ = ["assert_equivalent", "compare_functions"]


def __getattr__(name: str) -> Any:
    from alexnet_rosetta.harness.pairs import arrays, functions

    homes = {"assert_equivalent": arrays, "compare_functions": functions}
    if name not in homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(homes[name], name)

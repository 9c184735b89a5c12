"""Names of tensors: ``weights[i]`` for input i, ``biases``, and the tensors that belong to them.

A momentum buffer is ``weights_inc[i]``, a gradient ``weights_grad[i]``, the connections of a sparse input
``filterConns[i]``.
"""


def address(tensor: str) -> tuple[str, int | None]:
    """``weights_inc[1]`` → ("weights_inc", 1); ``biases`` → ("biases", None)."""
    name, _, i = tensor.partition("[")
    return name, int(i.removesuffix("]")) if i else None


def index(tensor: str) -> int | None:
    """Input index of a tensor: ``weights[1]`` → 1; None for biases."""
    return address(tensor)[1]


def parameter(tensor: str) -> str:
    """Name of the parameter that a momentum buffer or gradient belongs to: ``weights_inc[1]`` → ``weights[1]``."""
    return _named(address(tensor)[0].partition("_")[0], tensor)


def increment(tensor: str) -> str:
    """Name of the momentum buffer of a parameter tensor: ``weights[1]`` → ``weights_inc[1]``."""
    return _named(f"{address(tensor)[0]}_inc", tensor)


def gradient(tensor: str) -> str:
    """Name of the gradient of a parameter tensor: ``weights[1]`` → ``weights_grad[1]``."""
    return _named(f"{address(tensor)[0]}_grad", tensor)


def connections(tensor: str) -> str:
    """Name of the connections of the input that a weights tensor belongs to: ``weights[1]`` → ``filterConns[1]``."""
    return _named("filterConns", tensor)


def is_parameter(tensor: str) -> bool:
    """Whether a tensor is a parameter, its momentum buffer or its gradient."""
    return tensor.startswith(("weights", "biases"))


def _named(name: str, tensor: str) -> str:
    i = index(tensor)
    return name if i is None else f"{name}[{i}]"

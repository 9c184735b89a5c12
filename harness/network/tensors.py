"""Names of parameter tensors: ``weights[i]`` for input i, ``biases``, and what belongs to them."""


def increment(tensor):
    """Name of the momentum buffer of a parameter tensor: ``weights[1]`` → ``weights_inc[1]``."""
    return tensor.replace("weights", "weights_inc").replace("biases", "biases_inc")


def gradient(tensor):
    """Name of the gradient of a parameter tensor: ``weights[1]`` → ``weights_grad[1]``."""
    return tensor.replace("weights", "weights_grad").replace("biases", "biases_grad")


def is_parameter(tensor):
    """Whether a tensor is a parameter, its momentum buffer or its gradient."""
    return tensor.startswith(("weights", "biases"))


def index(tensor):
    """Input index of a weights tensor: ``weights[1]`` → 1; None for biases."""
    return int(tensor.split("[")[1][:-1]) if "[" in tensor else None

"""What the harness has to know of a layer type beside its formulas; a type says so in its class, where it differs."""


class Layer:
    """The facts of a layer type that has nothing particular, and the base of all formulas.

    Attributes
    ----------
    labels : str or None
        What the first input of a cost is, if a data layer holds it: a key of `network.cost_inputs.KINDS`.
    labels_per_class : bool
        Whether that input has a row for each output of the second.
    fuses_with : tuple of str
        Types of cost that go backward in one step with the layer if they are its only consumer.
    fused_labels : str or None
        What `inputs_grad` of the layer below calls that input, where both go backward in one step.
    exact : tuple of str
        Tensors whose bits the exact tier asks for: multiples of eighths that float32 adds without rounding.
    gradient_check : tuple of float or None
        Steps of the historical gradient check, for weights and for biases.
    approximates : str or None
        What the gradient is of, in words, if not of the outputs; then `stand_in` has the formula.
    backward_reads : tuple of str
        What the backward pass reads beside the gradient of the output: ``inputs``, ``acts``. Of neurons the keys
        ``usesInputs`` and ``usesActs`` of the layer say so.
    """

    labels = None
    labels_per_class = False
    fused_labels = None
    fuses_with = ()
    exact = ()
    gradient_check = None
    approximates = None
    backward_reads = ()

    @staticmethod
    def noise(spec, pass_type):
        """What is random in a forward pass: ``draw(random, shape)`` from a numpy Generator; None where nothing is."""

    @staticmethod
    def operations(spec, forward):
        """Floating-point operations for each output, of a layer without weights."""
        return 1


class Cost(Layer):
    """What all costs have in common."""

    backward_reads = ("inputs",)


def uniforms(random, shape):
    """Numbers in [0, 1)."""
    return random.random(shape, "float32")


def normals(random, shape):
    """Normal numbers."""
    return random.standard_normal(shape, "float32")

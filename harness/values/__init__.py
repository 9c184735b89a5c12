"""The numbers of a run: random numbers, inputs, photographs, parameters."""

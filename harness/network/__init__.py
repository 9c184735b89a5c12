"""What a network is: layers, graph, names of tensors, facts of the solver."""

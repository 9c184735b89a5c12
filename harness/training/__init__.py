"""Training: the loop of 2012 over any engine, its checkpoints and pictures, and the drift of trajectories."""

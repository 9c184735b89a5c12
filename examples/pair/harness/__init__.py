"""A package of somebody else that is called harness too: nothing of AlexNet Rosetta is looked for under that name."""

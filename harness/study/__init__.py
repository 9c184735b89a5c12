"""How the engine of 2012 runs a layer, and where to read it in both engines: `rosetta study`."""

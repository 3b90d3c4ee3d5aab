"""A host with its nodes as a simulation of discrete events, fed with measured costs."""

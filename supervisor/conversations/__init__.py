"""The conversations of a host: their states, their turns, and the workers that they are assigned to."""

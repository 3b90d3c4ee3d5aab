"""Nodes that a Ray cluster starts: how many there are to be, the process that speaks with Ray, and the actors."""

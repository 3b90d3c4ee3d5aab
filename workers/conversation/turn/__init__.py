"""Turns: the loop, its input and its responses, its settings, and its outcome."""

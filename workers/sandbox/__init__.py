"""Keeps the commands of the model where the sandbox policy wants them."""

"""The credential of each model request, and the worker's line to the auth broker."""

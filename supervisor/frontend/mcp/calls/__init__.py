"""Calls of the tools that start turns, with and without a handshake, and as tasks."""

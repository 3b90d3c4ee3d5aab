"""Processes: starting, hardening and ending them, and what one says of itself."""

"""Refreshes access tokens: timing and execution."""

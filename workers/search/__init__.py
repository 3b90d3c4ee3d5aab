"""Finds files by a few letters of their paths."""

"""Fuzzy search for files by a few letters of their paths."""

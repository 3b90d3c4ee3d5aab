"""Compaction: a summary takes the place of a history that no longer fits."""

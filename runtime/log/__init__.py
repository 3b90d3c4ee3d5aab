"""The log of every process: on standard error, and in a file below the Codex home."""

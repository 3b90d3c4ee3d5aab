"""Session files: the part of a conversation that outlives its process, in the line format of current Codex releases."""

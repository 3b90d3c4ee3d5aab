"""Session files: what of a conversation outlives its process, in the line format of current releases of Codex."""

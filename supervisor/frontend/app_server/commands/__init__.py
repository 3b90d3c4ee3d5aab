"""Commands that a client runs outside any thread."""

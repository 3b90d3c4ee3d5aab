"""The credential in force and its state."""

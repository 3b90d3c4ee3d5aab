"""Patches that the model writes: reading them, fitting them to the files, applying them as a whole, showing them."""

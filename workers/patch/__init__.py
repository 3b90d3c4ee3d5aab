"""Patches from the model: parsing, matching with the files, applying as a whole, showing as diffs."""

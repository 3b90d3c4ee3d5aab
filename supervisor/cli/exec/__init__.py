"""The command line of `greenroom exec`."""

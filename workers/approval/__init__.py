"""Decides what happens with a command or a patch before it runs, and after the sandbox has refused it."""

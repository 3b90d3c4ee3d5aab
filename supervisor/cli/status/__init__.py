"""The commands that inspect and control running instances."""

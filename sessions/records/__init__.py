"""What the records of a session file mean. Free of I/O."""

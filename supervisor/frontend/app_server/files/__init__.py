"""Files that a client reads, changes and watches."""

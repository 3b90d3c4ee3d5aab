"""How an attempt at a model request ends, and what follows. Free of I/O."""

"""`greenroom doctor`: tells before the first call what would go wrong, and what to do about it."""

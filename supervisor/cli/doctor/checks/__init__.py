"""The checks of `greenroom doctor`, one module for each family."""

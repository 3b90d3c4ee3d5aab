"""A scripted model, and the guided tour of the program that uses it."""

"""A model that is a script, and the walk through the program that needs no other."""

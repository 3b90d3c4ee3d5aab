"""How messages travel to a server and back, and their repair."""

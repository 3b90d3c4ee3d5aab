"""Workers on other machines: the nodes that a host has, their keys, and what is placed where."""

"""The goals of threads: the methods about them, and the turns in which they are pursued."""

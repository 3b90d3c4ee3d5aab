"""What the kernel is told of a confinement."""

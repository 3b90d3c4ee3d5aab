"""System calls that Python does not offer, and what the kernel tells of processes and sockets."""

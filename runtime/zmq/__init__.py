"""ZeroMQ on the running loop: sockets, their peers, and who may connect."""

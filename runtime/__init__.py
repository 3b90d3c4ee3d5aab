"""Basics of every process: ZeroMQ sockets, hardening, the lifeline, the log."""

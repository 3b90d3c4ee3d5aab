"""Threads for calls that block, which nothing has to wait for."""

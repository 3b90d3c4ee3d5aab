"""Closes inherited descriptors after a fork."""

import os


def close_all_but(*kept: int) -> None:
    """Close every descriptor from 3 on except these."""
    start = 3
    for descriptor in sorted(kept):
        if descriptor > start:  # for an empty range `closerange` would close everything from there on
            os.closerange(start, descriptor)
        start = descriptor + 1
    os.closerange(start, os.sysconf("SC_OPEN_MAX"))

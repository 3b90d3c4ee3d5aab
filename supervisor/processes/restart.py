"""How often each kind of child of the supervisor may die before it is given up, and the delays of its restarts."""

from greenroom.runtime.restart import Delays, Intensity

FORK_SERVER = Delays((0.0, 0.1, 0.5, 2.0, 5.0, 15.0), healthy_after=30.0)
"""It is never given up; meanwhile workers are spawned without it."""
ZYGOTE = Delays((0.0, 0.1, 0.5, 2.0, 5.0, 15.0), healthy_after=30.0)
"""The shared one; meanwhile each new worker forks one of its own."""
START = Delays((0.1, 0.2, 0.5, 1.0, 2.0, 5.0), healthy_after=5.0)
"""Starts that the operating system refuses, for lack of memory or of processes. Calls wait meanwhile."""
BROKER = Intensity(deaths=5, period=60.0, delays=(0.1, 0.5, 2.0, 5.0, 5.0))
"""Beyond that the broker is not started again, and requests for credentials fail with an error that says so."""
CONVERSATION = Intensity(deaths=5, period=60.0, delays=(0.0,))
"""A conversation is restarted by its next turn, so that nothing has to wait."""
POOL = Intensity(deaths=10, period=30.0, delays=(0.0, 0.0, 0.1, 0.5, 1.0, 2.0))
"""Workers that die before a conversation is assigned to them."""

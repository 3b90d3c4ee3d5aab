"""How often each kind of child of the supervisor may die before it is given up."""

from greenroom.runtime.restart import Intensity

FORK_SERVER = Intensity(deaths=5, period=60.0, delays=(0.0, 0.1, 0.5, 2.0, 5.0))
BROKER = Intensity(deaths=5, period=60.0, delays=(0.1, 0.5, 2.0, 5.0, 5.0))
"""Spec auth 7.10, K27."""
CONVERSATION = Intensity(deaths=5, period=60.0, delays=(0.0,))
"""A conversation comes back when it is next spoken to, so that nothing has to wait."""
POOL = Intensity(deaths=10, period=30.0, delays=(0.0, 0.0, 0.1, 0.5, 1.0, 2.0))
"""Workers that die before they have been given a conversation."""

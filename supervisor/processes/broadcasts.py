"""The broadcasts of the auth broker, for any number of subscribers."""

from collections.abc import Callable
from typing import TypeAlias

from greenroom.protocol.internal.broker.broadcasts import Broadcast

OnBroadcast: TypeAlias = Callable[[Broadcast], object]


class Broadcasts:
    """Passes each broadcast on to all subscribers; those before the first one are kept for it."""

    def __init__(self) -> None:
        self._early: list[Broadcast] = []
        self._had_subscriber = False
        self._subscribers: list[OnBroadcast] = []

    def subscribe(self, on_broadcast: OnBroadcast) -> None:
        """Pass on broadcasts to `on_broadcast` from now on; to the first subscriber also those that have arrived."""
        self._subscribers.append(on_broadcast)
        self._had_subscriber = True
        for broadcast in self._early:
            on_broadcast(broadcast)
        self._early.clear()

    def unsubscribe(self, on_broadcast: OnBroadcast) -> None:
        """Pass on no more to a subscriber."""
        self._subscribers.remove(on_broadcast)

    def publish(self, broadcast: Broadcast) -> None:
        """Pass on a broadcast."""
        if not self._had_subscriber:
            self._early.append(broadcast)
        for on_broadcast in tuple(self._subscribers):
            on_broadcast(broadcast)

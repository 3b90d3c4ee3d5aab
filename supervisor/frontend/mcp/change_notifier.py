"""Notifies a client of the handshake eras of changes since it last read.

A client is notified that a list has changed only if it has read that list since the last notification: without a
reading it has nothing that could be out of date, and a second notification would say nothing new. So each reading
causes at most one notification, however many conversations begin. Streams of the era without a handshake get every
change.
"""

from typing import Final

from greenroom.protocol.mcp.resources import ListName
from greenroom.supervisor.frontend.client_channel import ClientChannel
from greenroom.supervisor.frontend.mcp.subscriptions import Subscriptions

MOST_SUBSCRIPTIONS: Final = 10_000
"""Resources that one client may have subscribed to at a time."""


class ChangeNotifier:
    """What one client is to be notified of."""

    def __init__(self, channel: ClientChannel, subscriptions: Subscriptions) -> None:
        self._channel = channel
        self._streams = subscriptions
        self._read: set[ListName] = set()
        self._subscribed: set[str] = set()

    @property
    def lists(self) -> tuple[ListName, ...]:
        """The lists that the client has read since it was last told of a change."""
        return tuple(sorted(self._read))

    @property
    def resources(self) -> tuple[str, ...]:
        """The resources to which the client has subscribed."""
        return tuple(sorted(self._subscribed))

    def note_reading(self, name: ListName) -> None:
        """Note that the client has read a list."""
        self._read.add(name)

    def subscribe(self, uri: str) -> bool:
        """Subscribe to a resource; return whether the limit allows it."""
        if len(self._subscribed) >= MOST_SUBSCRIPTIONS:
            return uri in self._subscribed
        self._subscribed.add(uri)
        return True

    def unsubscribe(self, uri: str) -> None:
        """Cancel the subscription to a resource."""
        self._subscribed.discard(uri)

    def changed(self, name: ListName) -> None:
        """Notify the client that a list has changed."""
        self._streams.changed(name)
        if name in self._read:
            self._read.remove(name)
            self._channel.write(b'{"jsonrpc":"2.0","method":"notifications/%b/list_changed"}\n' % name.encode())

    def updated(self, uri: str) -> None:
        """Notify the client that a resource has changed."""
        self._streams.updated(uri)
        if uri in self._subscribed:
            self._channel.notify("notifications/resources/updated", {"uri": uri})

"""Items that a client puts into the history of a conversation, where no call waits for its output."""

from collections.abc import Sequence

import msgspec

from greenroom.protocol.errors import GreenroomError
from greenroom.protocol.items import JsonObject
from greenroom.workers.conversation.history.history_entry import entry_of
from greenroom.workers.conversation.transcript import Transcript


class InvalidItemsError(GreenroomError):
    """What a client wants to inject is no item of a history."""


class InjectedItems:
    """Belongs to one conversation."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript
        self._waiting: list[JsonObject] = []

    def put(self, items: Sequence[bytes], *, at_once: bool) -> None:
        """Append items, `at_once` or with the next `apply`. Raises `InvalidItemsError`; then none is appended."""
        if not items:
            raise InvalidItemsError("items must not be empty")
        self._waiting += [_read(number, item) for number, item in enumerate(items)]
        if at_once:
            self.apply()

    def apply(self) -> None:
        """Append the items that wait. To be called where each call has its output."""
        if not self._waiting:
            return
        items, self._waiting = self._waiting, []
        for item in items:
            self._transcript.add(item)
        self._transcript.write()


def _read(number: int, item: bytes) -> JsonObject:
    try:
        found = msgspec.json.decode(item, type=dict[str, object])
    except msgspec.MsgspecError:
        raise InvalidItemsError(f"items[{number}] is not an object") from None
    if not isinstance(found.get("type"), str) or entry_of(found) is None:
        raise InvalidItemsError(f"items[{number}] is not an item that a history may hold: {found.get('type')!r}")
    return found

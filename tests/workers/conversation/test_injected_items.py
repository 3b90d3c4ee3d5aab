"""Items that a client injects: at once between turns, else where no call waits for its output; all or none."""

import json

import pytest

from greenroom.protocol.ids import ConversationId
from greenroom.workers.conversation.events.event_emitter import EventEmitter
from greenroom.workers.conversation.history.history import History
from greenroom.workers.conversation.injected_items import InjectedItems, InvalidItemsError
from greenroom.workers.conversation.transcript import Transcript
from tests.workers.stubs import StubMailbox, StubRecord

NOTE = {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "note"}]}


class Scene:
    def __init__(self) -> None:
        self.record = StubRecord([])
        emitter = EventEmitter(StubMailbox([]), ConversationId("c"), "current")
        self.history = History()
        self.items = InjectedItems(Transcript(self.history, self.record, emitter))

    def put(self, *items: object, at_once: bool = True) -> None:
        self.items.put([json.dumps(item).encode() for item in items], at_once=at_once)


def test_items_are_recorded_at_once_or_later() -> None:
    scene = Scene()
    scene.put(NOTE)
    assert scene.record.items == [NOTE]
    scene.put(NOTE, NOTE, at_once=False)
    assert len(scene.history) == 1
    scene.items.apply()
    scene.items.apply()
    assert len(scene.history) == 3


@pytest.mark.parametrize(
    "items",
    [
        [],
        [NOTE, {"type": "bogus"}],
        [NOTE, {"type": "message", "role": "system", "content": []}],
        [NOTE, {"type": "function_call_output", "output": "x"}],
        [NOTE, 7],
        [NOTE, {}],
    ],
)
def test_what_is_no_item_is_refused_and_nothing_is_recorded(items: list[object]) -> None:
    scene = Scene()
    with pytest.raises(InvalidItemsError):
        scene.put(*items)
    scene.items.apply()
    assert len(scene.history) == 0

"""Events about items, each with a beginning and an end, and about the history."""

from greenroom.protocol.events.event import Event, Milliseconds, Object
from greenroom.protocol.events.turn import TokenUsage


class ItemStarted(Event, tag="item_started"):
    """A step begins that the flat events report too; `item` is tagged by `type`, such as `CommandExecution`."""

    since = "October 2025"

    thread_id: str
    turn_id: str
    item: Object
    started_at_ms: Milliseconds


class ItemCompleted(Event, tag="item_completed"):
    """A step has ended; `item` has the result."""

    since = "October 2025"

    thread_id: str
    turn_id: str
    item: Object
    started_at_ms: Milliseconds
    completed_at_ms: Milliseconds


class RawResponseItem(Event, tag="raw_response_item"):
    """An item of the history, as the model sees it."""

    since = "October 2025"

    item: Object


class RawResponseCompleted(Event, tag="raw_response_completed"):
    """A response of the model is complete."""

    since = "July 2026"

    response_id: str
    token_usage: TokenUsage | None
    usage_metadata: Object | None

"""The orders that a page may give, as a table, and what an instance answers."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Annotated, Final, NamedTuple

import msgspec

from greenroom.protocol.display import clean
from greenroom.protocol.ids import ConversationId
from greenroom.supervisor.cli.status.control_client import ask
from greenroom.supervisor.control.control_messages import (
    ActionDone,
    ActionRefused,
    ControlAction,
    DisconnectClient,
    DrainNode,
    InterruptClient,
    InterruptConversation,
    KillConversation,
    StopInstance,
)
from greenroom.supervisor.control.instances import RunningInstance
from greenroom.supervisor.frontend.http.refusal import RefusedRequest

ORDERS: Final[Mapping[str, Callable[[str], ControlAction]]] = {
    "interrupt": lambda target: InterruptConversation(ConversationId(target)),
    "kill": lambda target: KillConversation(ConversationId(target)),
    "stop": lambda _: StopInstance(),
    "interrupt-client": InterruptClient,
    "disconnect": DisconnectClient,
    "drain": DrainNode,
}
"""By name: the order of a target, as `greenroom interrupt`, `kill`, `stop` and `drain` give it."""
LARGEST: Final = 4096
"""Bytes of an order."""

Find = Callable[[], list[RunningInstance]]


class GivenOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order as a page sends it."""

    order: str
    instance: int
    """Pid of the supervisor."""
    target: Annotated[str, msgspec.Meta(max_length=512)] = ""
    """The id of a conversation or a client, or the name of a node."""


class Outcome(NamedTuple):
    """What came of an order."""

    status: int
    """That of HTTP: 409 where the instance refuses, 504 where it does not answer."""
    text: str


def read_order(body: bytes) -> GivenOrder:
    """Return the order of a request. Raises `RefusedRequest`."""
    try:
        given = msgspec.json.decode(body, type=GivenOrder)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise RefusedRequest(400, "Bad Request: this is no order") from None
    if given.order not in ORDERS:
        raise RefusedRequest(400, "Bad Request: there is no such order")
    return given


async def carry_out(given: GivenOrder, find: Find) -> Outcome:
    """Pass an order on to its instance, one of those that `find` returns."""
    found = next((one for one in await asyncio.to_thread(find) if one.instance.pid == given.instance), None)
    if found is None:
        return Outcome(404, f"No instance is running with pid {given.instance}.")
    order = ORDERS[given.order](given.target)
    responses = await asyncio.to_thread(ask, [found.control], order)
    match responses[found.control].reply:
        case ActionDone(text=text):
            return Outcome(200, _sentence(text))
        case ActionRefused(text=text):
            return Outcome(409, _sentence(text))
    return Outcome(504, f"Instance {given.instance} does not answer.")


def _sentence(text: str) -> str:
    text = clean(text)
    return f"{text[:1].upper()}{text[1:]}."

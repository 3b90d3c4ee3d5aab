"""The version of what hosts and nodes say to each other rises whenever the form of a message changes."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, get_args

import msgspec

from greenroom.protocol.internal import node, records
from greenroom.protocol.internal.broker import answers, body, broadcasts, questions
from greenroom.protocol.internal.process import BrokerSpec, Exited, Spawn, Spawned, WorkerSpec
from greenroom.protocol.internal.worker import header, notices, operations

FORMS = {
    1: "a3fe9a0a6b80ddc78deaac06a41de9cb64c783b43052ee2794933476364c6bf6",
    2: "65b08dc4b33ea5e0926bf71fc80c14e6c802d7436bd1efd73517ccaef8de6b77",
    3: "72e09b0489b349a57bf3f75cf2ca8077157fb9eebcdfefba89facf78683ca349",
}
"""SHA-256 of the form of all messages, by version of the protocol. After a change: raise `PROTOCOL` in
`greenroom.protocol.internal.node` and add a line here; where a host goes on to understand nodes of the versions before,
as when a member with a default is added that older ones can do without, `OLDEST_SERVED` may stay."""


def messages() -> list[type[msgspec.Struct]]:
    """Return all kinds of messages that pass between a host and a node or a worker there.

    What the supervisor alone says to its auth broker stays on the host, and so does how that one is started.
    """
    found: set[type[msgspec.Struct]] = {*get_args(node.FromNode), *get_args(node.ToNode), Spawn, Spawned, Exited}
    found |= {WorkerSpec, node.HomeParts}
    for module in (answers, body, broadcasts, questions, records, header, notices, operations):
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, msgspec.Struct) and value.__module__ == module.__name__:
                found.add(value)
    found -= {kind for kind in get_args(questions.BrokerQuestion) if kind.wire in questions.SUPERVISOR_MAY}
    return sorted(found, key=lambda kind: (kind.__module__, kind.__qualname__))


def form(kinds: Sequence[type[msgspec.Struct]]) -> str:
    """Return a text that changes with the members of messages, and of what is in them: names, types and defaults."""
    _, parts = msgspec.json.schema_components(kinds)
    parts.pop(BrokerSpec.__name__, None)
    names = {kind.__name__: getattr(kind, "wire", b"").decode() for kind in kinds}
    return json.dumps([names, _bare(parts)], sort_keys=True)


def _bare(schema: Any) -> Any:
    """Return a schema without the words for people."""
    if isinstance(schema, dict):
        return {name: _bare(value) for name, value in schema.items() if name not in ("description", "title")}
    return [_bare(one) for one in schema] if isinstance(schema, list) else schema


def test_the_form_of_the_messages_is_that_of_the_version() -> None:
    assert node.OLDEST_SERVED <= node.PROTOCOL == max(FORMS)
    digest = hashlib.sha256(form(messages()).encode()).hexdigest()
    assert FORMS[node.PROTOCOL] == digest, "raise PROTOCOL, and note the form of its messages"


def test_a_member_more_is_another_form() -> None:
    one, other, third = (
        msgspec.defstruct("One", [("number", int), *more]) for more in ((), (("text", str, ""),), (("text", str, "x"),))
    )
    assert len({form([kind]) for kind in (one, other, third)}) == 3
    names = {kind.__name__ for kind in messages()}
    assert {"Join", "WorkerSpec", "WriteRecords", "GetAuth", "Open", "TurnEnded", "HomeParts"} <= names

"""Every method of this protocol that the server implements, with its params and its purpose.

docs/app-server.md and `greenroom app-server generate-json-schema` go by this table, and a test compares it with the
handlers. Params and results are named and not imported: few are needed before the first request is answered.
"""

import importlib
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec


class Method(NamedTuple):
    """A method that the server implements."""

    meaning: str
    params: str
    """Path below `greenroom.protocol.app_server` of the struct for its params."""
    result: str
    """The same for its result."""


METHODS: Final[Mapping[str, Method]] = {
    "initialize": Method(
        "Starts a connection; the notification `initialized` follows.",
        *("connection.InitializeParams", "connection.InitializeResponse"),
    ),
    "thread/start": Method(
        "Starts a thread, and tells the client of all that happens in it.",
        *("threads.ThreadStartParams", "thread.ThreadSettings"),
    ),
    "turn/start": Method(
        "Starts a turn; where one runs already it follows that.",
        *("turns.TurnStartParams", "turns.TurnStartResponse"),
    ),
    "turn/steer": Method("Says more in the running turn.", "turns.TurnSteerParams", "turns.TurnSteerResponse"),
    "turn/interrupt": Method("Stops a turn that runs or waits.", "turns.TurnInterruptParams", "connection.Empty"),
}

UNSUPPORTED: Final[frozenset[str]] = frozenset()
"""Stable methods of the reference that are answered with an error that names them."""


def struct_of(path: str) -> type[msgspec.Struct]:
    """Return the struct that a row of the table names."""
    module, _, name = path.rpartition(".")
    struct: type[msgspec.Struct] = getattr(importlib.import_module(f"greenroom.protocol.app_server.{module}"), name)
    return struct

"""What all messages of this protocol have in common."""

from typing import ClassVar, Final

import msgspec

CODEX_VERSION: Final = "0.171.0"
"""The release whose protocol this is. Clients read it from `userAgent`, to know which members they may use."""


class Params(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of the params of clients. Unknown members are ignored."""


class ThreadParams(Params, frozen=True, kw_only=True):
    """Base of params that name a thread."""

    thread_id: str


class Result(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of results, and of what they consist of.

    Members without a value are sent as null, and counters of nothing as 0: some clients do not expect that one is left
    out.
    """


class ServerNotification(Result, frozen=True, kw_only=True):
    """Base of notifications. The first line of a docstring says when they are sent."""

    method: ClassVar[str]


class ServerRequest(Result, frozen=True, kw_only=True):
    """Base of requests to the client. The first line of a docstring says when they are sent."""

    method: ClassVar[str]

"""Gives every tool of every server a unique name that model servers accept.

The names depend only on the set of tools, not on the order in which servers become ready, so that requests stay the
same and their prompts cached.
"""

import hashlib
import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

from greenroom.workers.mcp.tools.tool import ToolIdentity

LIMIT: Final = 64
"""Maximum bytes of a name."""
SEPARATOR: Final = "__"
PREFIX: Final = "mcp__"
"""The prefix that later releases of the reference use."""

_KEPT: Final = 24
"""Bytes kept of a name that is too long; the rest is a SHA-1 in hexadecimal digits."""
_FOREIGN: Final = re.compile(r"[^a-zA-Z0-9_-]")
_SERVER: Final = re.compile(r"[a-zA-Z0-9_-]+")


def is_server_name(name: str) -> bool:
    """Tell whether a server may have this name."""
    return _SERVER.fullmatch(name) is not None


def qualify(identities: Iterable[ToolIdentity]) -> dict[ToolIdentity, str]:
    """Return the name of each tool, sorted by name."""
    claims: defaultdict[str, list[ToolIdentity]] = defaultdict(list)
    for identity in sorted(set(identities)):
        claims[_candidate(identity)].append(identity)
    names: dict[ToolIdentity, str] = {}
    for candidate, claimants in claims.items():
        owner = _owner(candidate, claimants)
        for identity in claimants:
            names[identity] = candidate if identity == owner else _free(candidate, identity, claims.keys(), names)
    return dict(sorted(names.items(), key=lambda entry: entry[1]))


def spellings(name: str, namespace: str | None) -> Iterator[str]:
    """Yield the names that a model may mean by a name and a namespace of a later release."""
    if namespace is not None:
        name = f"{namespace}{SEPARATOR}{name}"
    else:
        yield name
    yield name.removeprefix(PREFIX)


def _plain(identity: ToolIdentity) -> str:
    return SEPARATOR.join(identity)


def _candidate(identity: ToolIdentity) -> str:
    plain = _plain(identity)
    name = _FOREIGN.sub("_", plain)
    if len(name) <= LIMIT:
        return name
    return name[:_KEPT] + hashlib.sha1(plain.encode(errors="replace"), usedforsecurity=False).hexdigest()


def _owner(candidate: str, claimants: list[ToolIdentity]) -> ToolIdentity | None:
    """Return which tool keeps a disputed name: the only candidate, or the only one whose original name it is."""
    if len(claimants) == 1:
        return claimants[0]
    real = [identity for identity in claimants if _plain(identity) == candidate]
    return real[0] if len(real) == 1 else None


def _free(candidate: str, identity: ToolIdentity, claimed: Iterable[str], names: dict[ToolIdentity, str]) -> str:
    taken = {*claimed, *names.values()}
    raw = "\0".join(identity)
    for attempt in itertools.count():
        salted = raw if attempt == 0 else f"{raw}\0{attempt}"
        digest = hashlib.sha1(salted.encode(errors="replace"), usedforsecurity=False).hexdigest()[:12]
        name = f"{candidate[: LIMIT - 13]}_{digest}"
        if name not in taken:
            return name
    raise AssertionError("there is always another number")

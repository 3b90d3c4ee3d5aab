"""What is wrong with an instance, and the exit code that a script gets for it: rules as a table, free of I/O."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from greenroom.protocol.internal.broker.body import AuthState
from greenroom.protocol.report import Role
from greenroom.supervisor.cli.status.formatting import age, short_id
from greenroom.supervisor.cli.status.overview import Diagnosis, InstanceStatus, ReplyKind, TroubleKind

WELL: Final = 0
NOTHING: Final = 1
"""Wrong usage, or there is no such instance or conversation."""
SILENT: Final = 2
"""An instance does not answer."""
DEGRADED: Final = 3
"""Something has failed, or was refused."""

CODES: Final[Mapping[TroubleKind, int]] = {
    "silent": SILENT,
    "shut": SILENT,
    "refused": DEGRADED,
    "unreadable": DEGRADED,
    "process_stopped": DEGRADED,
    "process_missing": DEGRADED,
    "given_up": DEGRADED,
    "conversation_failed": DEGRADED,
    "credential": DEGRADED,
}

STARTING: Final = 10.0
"""Seconds after its start in which an instance need not be complete."""

_STOPPED: Final = frozenset({"stopped", "tracing-stop"})
_CREDENTIAL: Final[Mapping[AuthState, str]] = {
    "REAUTH_REQUIRED": "the login has ended; log in again with Codex",
    "STORE_BAD": "auth.json cannot be read",
    "WAITING": "the token has expired and cannot be refreshed at the moment; it is tried again",
    "DEGRADED": "the token cannot be refreshed at the moment; until it expires it is used as it is",
}
_REMEDIES: Final[Mapping[Role, str]] = {
    "broker": "it is given up, and no login can be used; restart the server",
}
_REPLIES: Final[Mapping[ReplyKind, tuple[TroubleKind, str]]] = {
    "silent": ("silent", "does not answer"),
    "shut": ("shut", "does not listen on its control socket: it is starting, ending, or damaged"),
    "unreadable": ("unreadable", "answers in a way that this version cannot read; use the version that it runs"),
}


def troubles(status: InstanceStatus, now: float | None = None) -> tuple[Diagnosis, ...]:
    """Return what is wrong, the worst first. `now` is in seconds since the epoch."""
    at = time.time() if now is None else now
    found = [trouble for rule in _RULES for trouble in rule(status, at)]
    return tuple(sorted(found, key=lambda trouble: CODES[trouble.kind] != SILENT))


def exit_code(statuses: Iterable[InstanceStatus]) -> int:
    """Return the exit code of a command that looked at these."""
    codes = {CODES[trouble.kind] for status in statuses for trouble in status.troubles}
    return SILENT if SILENT in codes else DEGRADED if codes else WELL


def _reply(status: InstanceStatus, now: float) -> Iterator[Diagnosis]:
    if status.reply == "refused":
        yield Diagnosis(kind="refused", text=f"does not tell: {status.refusal}")
    elif status.reply in _REPLIES:
        kind, text = _REPLIES[status.reply]
        since = time.strftime("%H:%M:%S", time.localtime(status.seen_at))
        silence = f"; its last sign of life was {age(now - status.seen_at)} ago, at {since}"
        yield Diagnosis(kind=kind, text=text if kind == "unreadable" else text + silence)


def _stopped(status: InstanceStatus, _: float) -> Iterator[Diagnosis]:
    for process in status.processes:
        if process.seen is not None and process.seen.state in _STOPPED:
            whose = f" of {short_id(process.conversation_id)}" if process.conversation_id else ""
            text = f"the {process.role}{whose} (pid {process.pid}) is stopped by a signal or a debugger"
            yield Diagnosis(kind="process_stopped", text=f"{text}; kill -CONT {process.pid} lets it go on")


def _missing(status: InstanceStatus, now: float) -> Iterator[Diagnosis]:
    if status.report is None or now - status.instance.started_at < STARTING:
        return
    needed: tuple[Role, ...] = ("fork_server", "broker") if status.instance.engine == "fork" else ("broker",)
    excused = {entry.role for entry in status.report.processes if entry.state == "given_up"}
    there = {process.role for process in status.processes if process.seen is not None}
    for role in needed:
        if role not in there | excused:
            yield Diagnosis(kind="process_missing", text=f"there is no {role} at the moment")


def _given_up(status: InstanceStatus, _: float) -> Iterator[Diagnosis]:
    for entry in status.report.processes if status.report else ():
        if entry.state == "given_up":
            text = f"the {entry.role} died too often; {_REMEDIES.get(entry.role, 'restart the server')}"
            yield Diagnosis(kind="given_up", text=text)


def _failed(status: InstanceStatus, _: float) -> Iterator[Diagnosis]:
    for entry in status.report.conversations if status.report else ():
        if entry.state == "failed":
            death = entry.last_death
            last = f", the last time by {death.cause}" if death else ""
            text = f"conversation {short_id(entry.id)} died too often{last}; it can be tried again in a minute"
            yield Diagnosis(kind="conversation_failed", text=text)


def _credential(status: InstanceStatus, _: float) -> Iterator[Diagnosis]:
    credential = status.report.credential if status.report else None
    if credential is not None and credential.state in _CREDENTIAL:
        yield Diagnosis(kind="credential", text=_CREDENTIAL[credential.state])


_RULES: Final[tuple[Callable[[InstanceStatus, float], Iterator[Diagnosis]], ...]] = (
    _reply,
    _stopped,
    _given_up,
    _missing,
    _failed,
    _credential,
)

"""The process that executes one refresh: the death of the broker cannot lose its result.

It receives its task over a socket, holds the refresh lock by a descriptor that it shares with the broker, and exits
after its answer. Its lifetime is bounded by a timer of the kernel, and shortened when the server ends.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Mapping
from typing import Final, NoReturn, TypeVar

import msgspec

from greenroom.broker.clock import Clock
from greenroom.broker.credential.refresh_request import RefreshRequest
from greenroom.broker.refresh.exchange import InProcessExecutor, RefreshOutcome
from greenroom.broker.refresh.journal import Journal, JournalEntry
from greenroom.broker.storage.locks import STORE_TIMEOUT
from greenroom.broker.storage.store import reopen
from greenroom.broker.token_issuer.classify import RefreshAnswered, RefreshRefused, Unanswered, Unreached
from greenroom.broker.token_issuer.client import TOTAL, Issuer
from greenroom.broker.token_issuer.endpoints import IssuerEndpoints
from greenroom.protocol.choices import CredentialsStore
from greenroom.protocol.secrecy import Secret
from greenroom.runtime.log import log as logs
from greenroom.runtime.log import logfile
from greenroom.runtime.process import hardening
from greenroom.runtime.process.launch import CONTROL, LAST_TIMEOUT, LIFELINE

log = logging.getLogger(__name__)

STATEMENT: Final = "from greenroom.broker.refresh.process import main; main()"
LOCK: Final = 5
"""Descriptor of the refresh lock, where there is one."""
SENDING: Final = b"s"
"""What it sends before the request to the issuer; the report follows, until the end of the stream."""
LIFETIME: Final = TOTAL + 2 * STORE_TIMEOUT
"""Seconds after which the kernel ends it in any case."""

T = TypeVar("T")
_WORDS: Final[Mapping[type, str]] = {
    RefreshAnswered: "refreshed",
    RefreshRefused: "refused",
    Unreached: "unreached",
    Unanswered: "unanswered",
}
"""How answers of the issuer are told in the log."""


class RefreshTask(msgspec.Struct, frozen=True):
    """Its task."""

    order: RefreshRequest
    endpoints: IssuerEndpoints
    home: str
    store: CredentialsStore
    has_lock: bool
    entry: JournalEntry
    """Of the journal."""
    ahead: float
    """Seconds that the machine's clock is known to be ahead."""
    instance: int
    log_level: str


class RefreshReport(msgspec.Struct, frozen=True):
    """Its answer."""

    outcome: RefreshOutcome
    entry: JournalEntry
    """Of the journal, after it."""
    ahead: float


def packed(message: RefreshTask | RefreshReport) -> bytes:
    """Encode a message, secrets included: for the socket alone.

    As JSON, since a record holds members of any JSON there is, such as integers that msgpack has no form for.
    """
    return msgspec.json.encode(message, enc_hook=_bare)


def unpacked(data: bytes, kind: type[T]) -> T:
    """Decode a message. Raises `msgspec.MsgspecError`."""
    return msgspec.json.decode(data, type=kind, dec_hook=_dressed)


def main() -> NoReturn:
    """Execute the task on descriptor 3, and exit."""
    hardening.make_undumpable()
    hardening.set_name("gr-refresh")
    signal.setitimer(signal.ITIMER_REAL, LIFETIME)
    with socket.socket(fileno=CONTROL) as channel:
        asyncio.run(_serve(channel))
    os._exit(0)


async def _serve(channel: socket.socket) -> None:
    try:
        task = unpacked(_everything(channel), RefreshTask)
    except msgspec.MsgspecError:  # the broker died before it had sent everything
        return
    logs.set_up("refresh", task.log_level)
    logfile.open_log(task.home, "refresh", instance=task.instance)
    _hasten_at_the_end(asyncio.get_running_loop())
    clock, journal = Clock(), Journal(task.entry)
    clock.learn(task.ahead)
    performer = InProcessExecutor(reopen(task.home, task.store), Issuer(task.endpoints, clock), clock)
    with contextlib.suppress(
        OSError
    ):  # the broker is gone: this process is then the only one that can store the tokens
        channel.sendall(SENDING)
    try:
        outcome = await performer.perform(task.order, journal, LOCK if task.has_lock else None)
    except Exception:
        log.exception("a refresh broke off")
        return
    log.info("a refresh has ended: %s, %s", _WORDS[type(outcome.answer)], outcome.fate)
    try:
        channel.sendall(packed(RefreshReport(outcome, journal.entry, clock.offset)))
    except OSError:
        log.info("the broker has died during the refresh")


def _everything(channel: socket.socket) -> bytes:
    data = b""
    while part := channel.recv(65536):
        data += part
    return data


def _hasten_at_the_end(loop: asyncio.AbstractEventLoop) -> None:
    """Let the kernel end this process shortly after the supervisor's end, or after a SIGTERM."""

    def hasten() -> None:
        loop.remove_reader(LIFELINE)
        loop.remove_signal_handler(signal.SIGTERM)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, LAST_TIMEOUT)

    loop.add_reader(LIFELINE, hasten)
    loop.add_signal_handler(signal.SIGTERM, hasten)


def _bare(value: object) -> object:
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError(type(value))


def _dressed(kind: type, value: object) -> object:
    return Secret(str(value)) if kind is Secret else value  # `object` are the unknown members of a record

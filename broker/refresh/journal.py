"""Facts about a refresh token, written to the lock file for the next holder of the lock (docs/security.md, K25, K28).

A broker that dies after it sent a refresh token leaves an entry behind, which tells its successor, or another instance,
that the token may be spent and that it has to wait before another try. A token that the issuer has declared invalid is
not sent again by any instance. An entry holds the token's digest, times and a reason, nothing secret.
"""

import os
from collections.abc import Sequence
from typing import Final

import msgspec

_SIZE: Final = 256
"""Bytes of an entry, padded so that one write replaces another as a whole."""


class JournalEntry(msgspec.Struct, frozen=True):
    """The known facts about one refresh token."""

    fingerprint: str = ""
    attempts: tuple[float, ...] = ()
    """Wall-clock times at which the token was sent, with unknown outcome."""
    verdict: str = ""
    """The reason why it is permanently invalid."""


_NOTHING: Final = JournalEntry()


class Journal:
    """The entry in one open lock file; kept in memory where there is none, or where it cannot be written."""

    def __init__(self, entry: JournalEntry = _NOTHING) -> None:
        self._entry = entry

    def open(self, descriptor: int | None) -> None:
        """Read what the last holder of the lock left."""
        if descriptor is None:
            return
        try:
            self._entry = msgspec.json.decode(os.pread(descriptor, _SIZE, 0), type=JournalEntry)
        except (OSError, msgspec.MsgspecError):
            self._entry = _NOTHING

    @property
    def entry(self) -> JournalEntry:
        """The facts about the token that was used last under the lock."""
        return self._entry

    def adopt(self, entry: JournalEntry) -> None:
        """Adopt an entry that the refresh process has written."""
        self._entry = entry

    def attempts(self, fingerprint: str) -> Sequence[float]:
        """Return the attempts on a refresh token with unknown outcome."""
        return self._entry.attempts if self._entry.fingerprint == fingerprint else ()

    def verdict(self, fingerprint: str) -> str:
        """Return the reason why a refresh token is permanently invalid; empty where none is known."""
        return self._entry.verdict if self._entry.fingerprint == fingerprint else ""

    def condemn(self, descriptor: int | None, fingerprint: str, reason: str) -> None:
        """Record that a refresh token is permanently invalid."""
        self._write(descriptor, JournalEntry(fingerprint, verdict=reason))

    def begin(self, descriptor: int | None, fingerprint: str, now: float) -> None:
        """Record that a refresh token is about to be sent."""
        self._write(descriptor, JournalEntry(fingerprint, (*self.attempts(fingerprint)[-1:], now)))

    def withdraw(self, descriptor: int | None) -> None:
        """Record that the latest attempt changed nothing; doubts about an earlier one remain."""
        entry = self._entry
        self._write(descriptor, JournalEntry(entry.fingerprint, entry.attempts[:-1]))

    def settle(self, descriptor: int | None) -> None:
        """Record that its outcome is known."""
        self._write(descriptor, _NOTHING)

    def _write(self, descriptor: int | None, entry: JournalEntry) -> None:
        self._entry = entry
        if descriptor is None:
            return
        try:
            os.pwrite(descriptor, msgspec.json.encode(entry).ljust(_SIZE), 0)
        except OSError:  # a full disk must not stop a refresh: the entry in memory serves this broker
            return

"""One entry in the system's keyring. The library is the extra `keyring`, imported with the first use.

A keyring may wait for a person who unlocks it, or for a service that never answers. So every call runs in a thread, one
at a time, and is abandoned after `TIMEOUT` seconds; while it hangs, further calls fail at once, lest an old write
overwrite a new one.
"""

import hashlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as LateError
from typing import Final, TypeVar

from greenroom.protocol.errors import GreenroomError

SERVICE: Final = "Codex Auth"
TIMEOUT: Final = 5.0
"""Seconds that a keyring has to answer."""

T = TypeVar("T")


class VaultError(GreenroomError):
    """The keyring cannot be used. The text says why, and never contains the entry."""


class Vault:
    """One entry: a text, or nothing."""

    def __init__(
        self, home: str, service: str = SERVICE, account: str | None = None, *, timeout_s: float = TIMEOUT
    ) -> None:
        """`account`: the name of the entry; by default that of the home's login."""
        digest = hashlib.sha256(os.path.realpath(home).encode("utf-8", "surrogateescape")).hexdigest()
        self.account: Final = account or f"cli|{digest[:16]}"
        self._service, self._timeout_s = service, timeout_s
        self._turn = threading.Lock()
        self._hung: threading.Thread | None = None

    def read(self) -> str | None:
        """Return the entry; `None` where there is none. Raises `VaultError`."""
        return self._within_timeout(lambda: _get(self._service, self.account))

    def write(self, text: str) -> None:
        """Replace the entry, and read it back: some keyrings drop it at once. Raises `VaultError`."""
        self._within_timeout(lambda: _set(self._service, self.account, text))

    def remove(self) -> bool:
        """Remove the entry; return whether there was one. Raises `VaultError`."""
        return self._within_timeout(lambda: _delete(self._service, self.account))

    def _within_timeout(self, call: Callable[[], T]) -> T:
        late = VaultError(f"the keyring did not answer within {self._timeout_s:g} s")
        if not self._turn.acquire(timeout=self._timeout_s):
            raise late
        try:
            if self._hung is not None and self._hung.is_alive():
                raise late
            outcome: Future[T] = Future()
            thread = threading.Thread(target=_settle, args=(outcome, call), name="keyring", daemon=True)
            thread.start()
            try:
                return outcome.result(self._timeout_s)
            except LateError:
                self._hung = thread
                raise late from None
        finally:
            self._turn.release()


def _settle(outcome: "Future[T]", call: Callable[[], T]) -> None:
    """Run a call, and replace any error of a backend by one without its text, which may contain the entry."""
    try:
        found = call()
    except VaultError as error:
        outcome.set_exception(error)
    except ImportError:
        outcome.set_exception(VaultError("the extra `keyring` of greenroom is not installed"))
    except Exception as error:
        outcome.set_exception(VaultError(f"the keyring failed ({type(error).__name__})"))
    else:
        outcome.set_result(found)


def _get(service: str, account: str) -> str | None:
    import keyring

    return keyring.get_password(service, account)


def _set(service: str, account: str, text: str) -> None:
    import keyring

    keyring.set_password(service, account, text)
    if keyring.get_password(service, account) != text:
        raise VaultError("the keyring did not keep what was written")


def _delete(service: str, account: str) -> bool:
    import keyring

    if keyring.get_password(service, account) is None:
        return False
    keyring.delete_password(service, account)
    return True

"""One entry in the system's keyring. The library is the extra `keyring`, imported with the first use.

Keyrings may wait for a person who unlocks them, or for a service that never answers. So every call runs in a thread,
one at a time, and is given up after `TIMEOUT` seconds; while it hangs, further calls fail at once, lest an old write
comes after a new one.
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
    """The keyring cannot be used. The text says why, and never what it holds."""


class Vault:
    """One entry: a text, or nothing."""

    def __init__(self, home: str, service: str = SERVICE, account: str | None = None) -> None:
        """`account`: the name of the entry; that of the home's login where nothing is said."""
        digest = hashlib.sha256(os.path.realpath(home).encode("utf-8", "surrogateescape")).hexdigest()
        self.account: Final = account or f"cli|{digest[:16]}"
        self._service = service
        self._turn = threading.Lock()
        self._hung: threading.Thread | None = None

    def read(self) -> str | None:
        """Return the entry; `None` where there is none. Raises `VaultError`."""
        return self._within_timeout(lambda: _get(self._service, self.account))

    def write(self, text: str) -> None:
        """Replace the entry, and look whether it is there: some keyrings forget at once. Raises `VaultError`."""
        self._within_timeout(lambda: _set(self._service, self.account, text))

    def remove(self) -> bool:
        """Remove the entry; return whether there was one. Raises `VaultError`."""
        return self._within_timeout(lambda: _delete(self._service, self.account))

    def _within_timeout(self, call: Callable[[], T]) -> T:
        late = VaultError(f"the keyring did not answer within {TIMEOUT:g} s")
        if not self._turn.acquire(timeout=TIMEOUT):
            raise late
        try:
            if self._hung is not None and self._hung.is_alive():
                raise late
            outcome: Future[T] = Future()
            thread = threading.Thread(target=_settle, args=(outcome, call), name="keyring", daemon=True)
            thread.start()
            try:
                return outcome.result(TIMEOUT)
            except LateError:
                self._hung = thread
                raise late from None
        finally:
            self._turn.release()


def _settle(outcome: "Future[T]", call: Callable[[], T]) -> None:
    """Run a call, whatever a backend raises: it is ours to tell, without the text that may hold the entry."""
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

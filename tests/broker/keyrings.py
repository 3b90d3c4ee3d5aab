"""Keyrings for tests: one that all processes of a test share, and what a keyring can do wrong."""

import json
import os
import sys
import threading
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, NoKeyringError

PLACE = "GREENROOM_TEST_VAULT"
"""The variable that names the file in which `SharedKeyring` keeps its entries."""


class SharedKeyring(KeyringBackend):
    """Keeps its entries in a file, so that every process sees them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    priority = 1

    def get_password(self, service: str, username: str) -> str | None:
        return self._entries().get(f"{service} {username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self._store({**self._entries(), f"{service} {username}": password})

    def delete_password(self, service: str, username: str) -> None:
        entries = self._entries()
        del entries[f"{service} {username}"]
        self._store(entries)

    def _entries(self) -> dict[str, str]:
        try:
            with open(os.environ[PLACE]) as file:
                entries: dict[str, str] = json.load(file)
        except FileNotFoundError:
            return {}
        return entries

    def _store(self, entries: dict[str, str]) -> None:
        with open(f"{os.environ[PLACE]}.new", "w") as file:
            json.dump(entries, file)
        os.rename(f"{os.environ[PLACE]}.new", os.environ[PLACE])


SHARED = f"{SharedKeyring.__module__}.{SharedKeyring.__qualname__}"
"""How `PYTHON_KEYRING_BACKEND` names it."""

_FIND = f"import sys; sys.path.append({str(Path(__file__).parents[2])!r})\n"
_IN_CHILDREN = f"""{_FIND}
from greenroom.broker.refresh import subprocess
subprocess.STATEMENT = {_FIND!r} + subprocess.STATEMENT
"""
PROGRAM = (
    sys.executable,
    "-I",
    "-c",
    f"""{_FIND}
from greenroom.runtime.process import launch
launch.FORK_SERVER, launch.SPAWNED = {_IN_CHILDREN!r} + launch.FORK_SERVER, {_IN_CHILDREN!r} + launch.SPAWNED
from greenroom.supervisor.main import main
sys.exit(main())
""",
    "mcp-server",
)
"""A server whose processes find the backends of this module; they are isolated from the current directory."""


class MemoryKeyring(KeyringBackend):
    """Keeps its entries in memory, and does what a test wants it to do wrong."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.entries: dict[tuple[str, str], str] = {}
        self.failure: Exception | None = None
        self.forgets = False
        self.open = threading.Event()
        """Calls wait for it."""
        self.open.set()

    def get_password(self, service: str, username: str) -> str | None:
        self._answer()
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._answer()
        if not self.forgets:
            self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._answer()
        del self.entries[service, username]

    def _answer(self) -> None:
        self.open.wait()
        if self.failure is not None:
            raise self.failure


LOCKED = KeyringLocked("the password is hunter2")
ABSENT = NoKeyringError("no backend")

"""A program under test: how it is started, and the home it starts from."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

GREENROOM: Final = "greenroom"
REFERENCE: Final = "reference"
"""The reference program, started directly."""
LAUNCHED: Final = "reference-launched"
"""The same program, started through the script for Node that its users start."""
ATTACHED: Final = "greenroom-attached"
"""Our program where it joins a running host."""
APP: Final = "greenroom-app-server"
APP_ATTACHED: Final = "greenroom-app-server-attached"
NEWEST: Final = "reference-newest"
"""The newest release of the reference, which speaks the protocol of `app-server` alone."""

_CONFIG: Final = """\
model = "scripted"
model_provider = "mock"
approval_policy = "never"
sandbox_mode = "danger-full-access"

[model_providers.mock]
name = "mock"
base_url = "{base_url}"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
stream_idle_timeout_ms = 300000
"""


@dataclass(frozen=True, slots=True)
class Subject:
    """One program that speaks MCP, or the protocol of `app-server`, on its standard input and output."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    """What its environment has more than that of the benchmark."""
    cores: frozenset[int] = frozenset()
    """Processor cores that it may use; those that the benchmark may use where none are named."""
    host: str | None = None
    """The program whose running host it joins, if it does."""
    speaks_app_server: bool = False

    @property
    def is_greenroom(self) -> bool:
        """Whether it is Greenroom, on this interpreter or another, and not the reference."""
        return self.name.startswith(GREENROOM)


def greenroom() -> Subject:
    """Return our own program, as it is installed beside the interpreter that runs the benchmark."""
    return Subject(GREENROOM, (os.path.join(os.path.dirname(sys.executable), "greenroom"), "mcp-server"))


def attached() -> Subject:
    """Return our own program where it joins a host."""
    own = greenroom()
    return Subject(ATTACHED, (*own.command, "--attach"), host=own.command[0])


def app_servers() -> tuple[Subject, Subject]:
    """Return our own program as it speaks the protocol of `app-server`: by itself, and where it joins a host."""
    program = greenroom().command[0]
    alone = (program, "app-server")
    return (
        Subject(APP, alone, speaks_app_server=True),
        Subject(APP_ATTACHED, (*alone, "--attach"), host=program, speaks_app_server=True),
    )


def newest_reference(program: str) -> Subject:
    """Return the newest release of the reference, at this path."""
    return Subject(NEWEST, (program, "app-server"), speaks_app_server=True)


def reference(program: str, name: str = REFERENCE) -> Subject:
    """Return the reference program, or its launcher, at this path."""
    return Subject(name, (program, "mcp-server"))


def write_config(home: str, base_url: str) -> None:
    """Make `home` a Codex home that knows only the scripted model."""
    os.makedirs(home, exist_ok=True)
    with open(os.path.join(home, "config.toml"), "w", encoding="utf-8") as config:
        config.write(_CONFIG.format(base_url=base_url))


def environment(subject: Subject, home: str) -> dict[str, str]:
    """Return the whole environment of a subject, free of what could lead it to an account."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CODEX_", "OPENAI_"))}
    return {**kept, "CODEX_HOME": home, **subject.environment}

"""A temporary Codex home, whose configuration knows only the scripted model."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

CONFIG = """\
model = "scripted"
model_provider = "{provider}"
approval_policy = "never"
sandbox_mode = "danger-full-access"
{top}
[model_providers.{provider}]
name = "A script on this machine"
base_url = "{base_url}"
wire_api = "{wire_api}"
request_max_retries = 0
stream_max_retries = 0
{more}
"""


@dataclass(frozen=True)
class Home:
    """The value of `CODEX_HOME`."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.toml"

    def configure(
        self, base_url: str, *, top: str = "", more: str = "", provider: str = "mock", wire_api: str = "responses"
    ) -> None:
        """Write a configuration. `top`: further settings; `more`: further lines of the provider's table."""
        self.config.write_text(
            CONFIG.format(base_url=base_url, top=top, more=more, provider=provider, wire_api=wire_api)
        )

    def sessions(self) -> list[Path]:
        """Return the session files, oldest first."""
        found = (self.path / "sessions").rglob("rollout-*.jsonl")
        return sorted(found, key=lambda path: os.stat(path).st_mtime_ns)

    def session(self, thread_id: str) -> Path:
        """Return the session file of a conversation."""
        (path,) = (path for path in self.sessions() if path.name.endswith(f"{thread_id}.jsonl"))
        return path


def records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the type and the payload of each line of a session file."""
    for line in path.read_bytes().splitlines():
        record = msgspec.json.decode(line)
        yield record["type"], record["payload"]


def stored_events(path: Path) -> list[str]:
    """Return the types of the events in a session file."""
    return [str(payload["type"]) for kind, payload in records(path) if kind == "event_msg"]

"""A temporary Codex home, and shortcuts from a `config.toml` to settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

from greenroom.config.settings import ConversationOverrides, Settings, resolve_settings


@dataclass(frozen=True)
class Home:
    """A Codex home in a temporary directory, which is also the working directory of the conversations."""

    path: Path

    def write(self, text: str) -> None:
        (self.path / "config.toml").write_text(dedent(text), encoding="utf-8")

    def resolve(
        self,
        text: str | None = None,
        cli: Sequence[str] = (),
        overrides: ConversationOverrides | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Settings:
        if text is not None:
            self.write(text)
        return resolve_settings(
            str(self.path),
            cli,
            overrides or ConversationOverrides(),
            process_cwd="/start",
            environment=environment or {},
        )


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)

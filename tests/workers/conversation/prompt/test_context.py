"""The model is told what it may do, what the project's files say and where it works, before the user speaks."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greenroom.config.settings import ConversationOverrides, Settings, resolve_settings
from greenroom.config.tables.sandbox import allows_network
from greenroom.protocol.items import JsonObject
from greenroom.workers.conversation.prompt import context
from greenroom.workers.conversation.prompt.context import context_items
from greenroom.workers.conversation.prompt.project_doc import ProjectDoc

Make = Callable[..., Settings]
NOTHING = ProjectDoc(text=None, notes=())


@pytest.fixture
def settings(tmp_path: Path) -> Make:
    """Make settings from the text of a `config.toml` and the arguments of a call."""

    def make(config: str = "", **call: Any) -> Settings:
        (tmp_path / "config.toml").write_text(config)
        overrides = ConversationOverrides(cwd="/home/ada/shop", **call)
        return resolve_settings(str(tmp_path), (), overrides, "/", {})

    return make


def texts(item: JsonObject) -> list[str]:
    content = item["content"]
    assert isinstance(content, list)
    return [part["text"] for part in content]


def roles(items: list[JsonObject]) -> list[object]:
    return [item["role"] for item in items]


def test_permissions_come_first_and_the_surroundings_second(settings: Make) -> None:
    permissions, surroundings = context_items(settings(), NOTHING)
    assert roles([permissions, surroundings]) == ["developer", "user"]
    (environment,) = texts(surroundings)
    assert environment.startswith("<environment_context>")
    assert "/home/ada/shop" in environment


def test_instructions_of_the_developer_go_before_the_permissions(settings: Make) -> None:
    first, _ = context_items(settings(developer_instructions="Be brief."), NOTHING)
    assert texts(first)[0] == "Be brief."
    assert len(texts(first)) == 2


def test_the_projects_guidance_goes_before_the_surroundings(settings: Make) -> None:
    _, second = context_items(settings(), ProjectDoc(text="Use tabs.", notes=()))
    guidance, environment = texts(second)
    assert "Use tabs." in guidance
    assert "AGENTS.md" in guidance
    assert environment.startswith("<environment_context>")


@pytest.mark.parametrize(
    ("mode", "config", "expected"),
    [
        ("read-only", "", False),
        ("workspace-write", "", False),
        ("workspace-write", "[sandbox_workspace_write]\nnetwork_access = true\n", True),
        ("danger-full-access", "", True),
    ],
)
def test_the_network_is_open_where_it_was_opened(settings: Make, mode: str, config: str, expected: bool) -> None:
    chosen = settings(config, sandbox_mode=mode)
    assert allows_network(chosen.sandbox_policy) is expected
    told = "".join(text for item in context_items(chosen, NOTHING) for text in texts(item))
    assert mode in told


def test_writable_roots_are_told(settings: Make) -> None:
    config = '[sandbox_workspace_write]\nwritable_roots = ["/home/ada/cache"]\n'
    told = "".join(
        text
        for item in context_items(settings(config, sandbox_mode="workspace-write"), NOTHING)
        for text in texts(item)
    )
    assert "/home/ada/cache" in told


def test_the_shell_and_the_time_zone_are_told_as_far_as_they_are_known(
    settings: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELL", "/opt/bin/fish")
    monkeypatch.setenv("TZ", "Europe/Vienna")
    _, surroundings = context_items(settings(), NOTHING)
    assert "fish" in texts(surroundings)[-1]
    assert "Europe/Vienna" in texts(surroundings)[-1]
    monkeypatch.delenv("SHELL")
    monkeypatch.delenv("TZ")
    assert context_items(settings(), NOTHING)


@pytest.mark.parametrize(
    ("links", "zone"),
    [
        ({"localtime": "/usr/share/zoneinfo/Europe/Berlin"}, "Europe/Berlin"),
        ({"localtime": "../share/zoneinfo/Etc/UTC"}, "Etc/UTC"),
        ({"localtime": "chosen", "chosen": "/usr/share/zoneinfo/Asia/Tokyo"}, "Asia/Tokyo"),
        ({"localtime": "chosen"}, None),
        ({}, None),
    ],
)
def test_the_time_zone_is_named_by_the_link_to_it(
    links: dict[str, str], zone: str | None, settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, goal in links.items():
        os.symlink(goal, tmp_path / name)
    monkeypatch.delenv("TZ", raising=False)
    monkeypatch.setattr(context, "_LOCALTIME", str(tmp_path / "localtime"))
    _, surroundings = context_items(settings(), NOTHING)
    assert f"<timezone>{zone or time.tzname[0]}</timezone>" in texts(surroundings)[0]

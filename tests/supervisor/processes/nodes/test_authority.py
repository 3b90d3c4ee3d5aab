"""What conversations on nodes may do: what their workers resolve, and what nodes tell of it counts for nothing."""

import json
import os
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from greenroom.config.settings import ConversationOverrides
from greenroom.config.tables.sandbox import ReadOnlyPolicy, WorkspaceWritePolicy
from greenroom.protocol.errors import ConfigError
from greenroom.protocol.events.turn import SessionConfigured
from greenroom.protocol.ids import ConversationId, Incarnation, uuid7
from greenroom.protocol.internal.worker.notices import Opened, OwnWorktree
from greenroom.protocol.internal.worker.operations import TurnSandbox, TurnSettings
from greenroom.sessions.storage.received import TurnAuthority
from greenroom.supervisor.processes.nodes.authority import Authority, AuthorityResolver
from greenroom.supervisor.processes.nodes.wish import Opening
from greenroom.workers.conversation.events.event import encode, session_configured
from greenroom.workers.conversation.turn.turn_settings import ConversationSettings

ID: Final = ConversationId(uuid7())
CALL: Final = {
    "model": "m-1",
    "approval_policy": "untrusted",
    "sandbox_mode": "workspace-write",
    "writable_roots": ["roots/a"],
    "config": {"approvals_reviewer": "auto_review", "model_reasoning_effort": "high"},
}
SETTINGS: Final = 'sandbox_mode = "danger-full-access"\napproval_policy = "never"\n'
WANTED: Final = TurnSettings(
    cwd="elsewhere",
    approval_policy="on-failure",
    sandbox_policy=TurnSandbox(type="workspace-write", writable_roots=("b",), network_access=True),
    model="m-2",
)


def opening(cwd: str | None = None, **call: object) -> Opening:
    return Opening("no", None, cwd, json.dumps({**CALL, **call}).encode())


def resolved(home: Path, given: Opening) -> tuple[Authority, Any]:
    (home / "config.toml").write_text(SETTINGS)
    authority, first = AuthorityResolver(str(home), ('model_provider="openai"',)).of_new(given, ID, 5.0)
    return authority, first.payload


def test_the_host_resolves_what_the_worker_does(tmp_path: Path) -> None:
    """Of the same home and call, in turns that override something too."""
    (tmp_path / "elsewhere").mkdir()
    authority, first = resolved(tmp_path, opening(str(tmp_path)))
    overrides = ConversationOverrides.from_json(json.dumps({**CALL, "cwd": str(tmp_path)}).encode())
    worker = ConversationSettings(str(tmp_path), ('model_provider="openai"',), overrides)
    notice = Opened(conversation_id=ID, incarnation=Incarnation(1), model="", cwd="", session_path="")
    assert authority.announced(notice, "/f")[1] == encode(session_configured(ID, worker.value, "/f"))
    turn, theirs = authority.of_turn(WANTED), worker.for_turn(WANTED)
    for name in TurnAuthority.__struct_fields__:
        assert getattr(turn, name) == getattr(theirs, name), name
        assert getattr(authority.of_turn(None), name) == getattr(worker.value, name), name
    assert (first["cwd"], first["model_provider"], first["id"]) == (str(tmp_path), "openai", ID)
    assert first["greenroom"] == {"approval_policy": "untrusted", "sandbox_mode": "workspace-write"}


def test_the_call_counts_before_the_settings_of_the_home(tmp_path: Path) -> None:
    authority, _ = resolved(tmp_path, opening("/host/x", sandbox_mode="read-only"))
    assert authority.sandbox_policy == ReadOnlyPolicy()
    authority, _ = resolved(tmp_path, opening("/host/x"))
    assert isinstance(authority.sandbox_policy, WorkspaceWritePolicy)
    assert authority.sandbox_policy.writable_roots == ("/host/x/roots/a",)
    assert (authority.cwd, authority.settings.reviewer, authority.settings.reasoning_effort) == (
        "/host/x",
        "auto_review",
        "high",
    )
    assert resolved(tmp_path, opening())[0].cwd == os.getcwd()


OF_THE_NODE: Final = {"conversation_id", "incarnation", "title", "tokens", "spending"}
"""Members of `Opened` that a worker on a node says itself: its address, which is checked, and what it has used."""


def test_of_the_announcement_of_a_node_nothing_counts_that_gives_rights(tmp_path: Path) -> None:
    authority, _ = resolved(tmp_path, opening("/host/x"))
    notice = Opened(
        conversation_id=ID,
        incarnation=Incarnation(1),
        model="dearest",
        cwd="/etc",
        session_path="/etc/passwd",
        title="hello",
        tokens=7,
        worktree=OwnWorktree(path="/etc", branch="b"),
    )
    told, configured = authority.announced(notice, "/home/file")
    kept = {name for name in Opened.__struct_fields__ if getattr(told, name) == getattr(notice, name)}
    assert kept == OF_THE_NODE, "decide of a new member who says it"
    assert (told.model, told.cwd, told.session_path, told.worktree) == ("m-1", "/host/x", "/home/file", None)
    event = msgspec.json.decode(configured, type=SessionConfigured)
    assert (event.cwd, event.approval_policy, event.rollout_path) == ("/host/x", "untrusted", "/home/file")
    assert event.sandbox_policy["type"] == "workspace-write"


def test_what_cannot_be_resolved_gives_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        resolved(tmp_path, opening("/host/x", profile="none"))

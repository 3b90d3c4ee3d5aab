"""A permission profile stands for a sandbox mode wherever a client may name one; no member about it is ignored."""

import json
from typing import Any

import msgspec
import pytest

from greenroom.protocol.app_server.threads import ThreadResumeParams, ThreadStartParams
from greenroom.protocol.app_server.turns import TurnStartParams
from greenroom.protocol.internal.worker.operations import TurnSandbox
from greenroom.supervisor.frontend.app_server.settings.permission_profiles import PROFILES, profile_mode
from greenroom.supervisor.frontend.app_server.thread_settings import SessionSettings, conversation_overrides
from greenroom.supervisor.frontend.request_params import RefusedError

THREAD = {"threadId": "t"}
TURN = {**THREAD, "input": []}


def settings() -> SessionSettings:
    return SessionSettings(
        model="m",
        provider="p",
        cwd="/",
        approval_policy="never",
        reviewer="user",
        sandbox=TurnSandbox(type="danger-full-access"),
    )


def turn(**members: Any) -> TurnStartParams:
    return msgspec.convert({**TURN, **members}, TurnStartParams)


def test_every_listed_profile_is_a_mode() -> None:
    modes = [profile_mode(profile.id) for profile in PROFILES]
    assert modes == ["read-only", "workspace-write", "danger-full-access"]
    assert profile_mode(None, "read-only") is None


def test_a_profile_counts_for_threads_and_turns() -> None:
    start = msgspec.convert({"permissions": ":read-only"}, ThreadStartParams)
    assert json.loads(conversation_overrides(start))["sandbox_mode"] == "read-only"
    resume = msgspec.convert({**THREAD, "permissions": ":workspace"}, ThreadResumeParams)
    assert settings().overridden(resume).sandbox.type == "workspace-write"
    assert settings().changed(turn(permissions=":read-only")).sandbox == TurnSandbox(type="read-only")


@pytest.mark.parametrize("profile", [":read-only", "mine"])
def test_what_contradicts_or_is_unknown_is_refused(profile: str) -> None:
    sandbox = {"sandbox": "read-only"} if profile != "mine" else {}
    policy = {"sandboxPolicy": {"type": "readOnly"}} if profile != "mine" else {}
    for attempt in (
        lambda: conversation_overrides(msgspec.convert({"permissions": profile, **sandbox}, ThreadStartParams)),
        lambda: settings().changed(turn(permissions=profile, **policy)),
    ):
        with pytest.raises(RefusedError):
            attempt()

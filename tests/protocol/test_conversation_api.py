"""Params of the conversation API are checked where they arrive, and go on to workers in their own words."""

from typing import get_args

import msgspec
import pytest

from greenroom.config.tables import sandbox
from greenroom.protocol import conversation_api as api
from greenroom.protocol.policy import ApprovalPolicy, SandboxMode


def test_closed_sets_are_those_of_the_configuration() -> None:
    assert {kind.type for kind in get_args(sandbox.ConfinementPolicy)} == set(get_args(SandboxMode))
    assert "never" in get_args(ApprovalPolicy)


def test_overrides_are_what_was_given() -> None:
    params = msgspec.json.decode(b'{"sandbox":"read-only","approvalPolicy":null,"new":1}', type=api.NewConversation)
    assert params.overrides() == b'{"sandbox_mode":"read-only"}'


@pytest.mark.parametrize("tag", ["mode", "type"])
def test_a_sandbox_policy_is_tagged_by_either_name(tag: str) -> None:
    given = {tag: "workspace-write", "network_access": True}
    policy = msgspec.convert(given, api.SandboxPolicy).for_worker()
    assert policy == {
        "type": "workspace-write",
        "writable_roots": (),
        "network_access": True,
        "exclude_tmpdir_env_var": False,
        "exclude_slash_tmp": False,
    }
    assert msgspec.convert({tag: "read-only"}, api.SandboxPolicy).for_worker() == {"type": "read-only"}


def test_a_sandbox_policy_has_a_tag() -> None:
    with pytest.raises(msgspec.ValidationError, match="mode"):
        msgspec.convert({}, api.SandboxPolicy)


def test_items_are_flat_for_workers() -> None:
    text = (
        b'{"conversationId":"0199f3a0-0000-7000-8000-000000000001","items":[{"type":"text","data":{"text":"a"}},'
        b'{"type":"image","data":{"image_url":"u"}},{"type":"localImage","data":{"path":"/p"}}]}'
    )
    items = msgspec.json.decode(text, type=api.SendUserMessage).items
    assert msgspec.json.decode(api.input_items(items)) == [
        {"type": "text", "text": "a"},
        {"type": "image", "image_url": "u"},
        {"type": "local_image", "path": "/p"},
    ]

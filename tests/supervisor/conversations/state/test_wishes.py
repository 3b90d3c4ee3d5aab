"""What a call needs of a machine, and where it can run, as its `config` says."""

import json

import pytest

from greenroom.protocol.ids import ConversationId
from greenroom.supervisor.conversations.state.conversation import Conversation
from greenroom.supervisor.conversations.state.wishes import needs_of, wish_of
from greenroom.supervisor.processes.nodes.wish import Needs


@pytest.mark.parametrize(
    ("config", "needs"),
    [
        (None, ()),
        ({"model": "x"}, ()),
        ({"greenroom.resources": {"gpu_box": 1}}, (("gpu_box", 1.0),)),
        ({"greenroom": {"resources": {"b": 2, "a": 0.5}}}, (("a", 0.5), ("b", 2.0))),
        ({"greenroom.resources.gpu_box": 1, "greenroom.resources.rack": 1}, (("gpu_box", 1.0), ("rack", 1.0))),
        ({"greenroom.resources": {"gpu_box": "many"}}, ()),
        ({"greenroom.resources": {"gpu_box": -1}}, ()),
        ({"greenroom": 1}, ()),
    ],
)
def test_resources_are_read_as_settings_are(config: dict[str, object] | None, needs: Needs) -> None:
    overrides = {} if config is None else {"config": config}
    assert needs_of(json.dumps(overrides).encode()) == needs


@pytest.mark.parametrize(
    ("config", "only_here"),
    [
        ({"model_providers.x.base_url": "http://x"}, False),
        ({"model_providers.x.env_key": "KEY"}, True),
        ({"mcp_servers": {"y": {"url": "http://y", "bearer_token_env_var": "KEY"}}}, True),
        ({"mcp_servers.": 1}, False),
    ],
)
def test_a_call_that_names_credentials_itself_runs_on_the_host(config: dict[str, object], only_here: bool) -> None:
    conversation = Conversation(ConversationId("c"), json.dumps({"config": config}).encode(), resume="no")
    assert wish_of(conversation).only_here == only_here

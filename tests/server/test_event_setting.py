"""Clients that can receive events get them; clients that would only log a warning for each do not."""

import pytest

from greenroom.demo.script import Text, rule
from tests.support.client import text
from tests.support.stage import Stage

PYTHON = {"name": "mcp", "version": "0.1.0"}
EXTENSION: dict[str, object] = {"extensions": {"com.example/codex-events": {}}}


@pytest.mark.parametrize(
    ("setting", "client_info", "capabilities", "told"),
    [
        ("auto", {"name": "my-editor", "version": "0.1.0"}, {}, True),
        ("auto", PYTHON, {}, False),
        ("auto", PYTHON, EXTENSION, True),
        ("full", PYTHON, {}, True),
        ("off", {"name": "my-editor", "version": "1"}, EXTENSION, False),
    ],
)
def test_a_client_is_told_what_it_can_take(
    stage: Stage, setting: str, client_info: object, capabilities: object, told: bool
) -> None:
    stage.play(rule("hello", [Text("Good day.")]))
    client = stage.start("-c", f"greenroom.events={setting}").client
    params = {"protocolVersion": "2025-11-25", "clientInfo": client_info, "capabilities": capabilities}
    client.result(client.request("initialize", params))
    call = client.codex("hello")
    assert text(client.result(call)) == "Good day."
    assert bool(client.notifications(call)) is told


def test_progress_leaves_out_the_deltas_alone(stage: Stage) -> None:
    stage.play(rule("hello", [Text(("Good ", "day."))]))
    server = stage.serve("fork", "-c", "greenroom.events=progress")
    call = server.client.codex("hello")
    assert text(server.client.result(call)) == "Good day."
    kinds = {event["type"] for event in server.client.events(call)}
    assert {"session_configured", "task_started", "agent_message", "task_complete"} <= kinds
    assert not [kind for kind in kinds if kind.endswith("delta")]

"""A conversation that a later release of Codex began goes on in the form of its file."""

import json
import uuid
from pathlib import Path
from typing import Any

from greenroom.demo.script import CommandStep, Text, rule
from tests.support.client import text
from tests.support.stage import Stage

RULES = (rule("hello", [CommandStep(("true",))], [Text("Good day.")]),)


def begin(home: Path, cwd: str) -> tuple[str, Path]:
    """Write a file with one turn, as `codex exec` of a later release does."""
    conversation = str(uuid.uuid4())
    meta = {"id": conversation, "timestamp": "2026-11-20T10:00:00.000Z", "cwd": cwd, "originator": "codex_exec"}
    lines: list[tuple[str, dict[str, Any]]] = [
        ("session_meta", {**meta, "cli_version": "0.171.0", "history_mode": "paginated"}),
        ("event_msg", {"type": "task_started", "turn_id": "t"}),
        ("response_item", message("user", "input_text", "first")),
        ("event_msg", {"type": "item_completed", "item": {"type": "UserMessage", "id": "u", "content": []}}),
        ("response_item", message("assistant", "output_text", "second")),
        ("event_msg", {"type": "task_complete", "turn_id": "t"}),
    ]
    path = home / "sessions" / f"rollout-2026-11-20T10-00-00-{conversation}.jsonl"
    path.parent.mkdir(parents=True)
    with path.open("w") as file:
        for ordinal, (kind, payload) in enumerate(lines):
            record = {"timestamp": "2026-11-20T10:00:00.000Z", "ordinal": ordinal, "type": kind, "payload": payload}
            file.write(json.dumps(record) + "\n")
    return conversation, path


def message(role: str, kind: str, said: str) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": [{"type": kind, "text": said}]}


def test_its_lines_stay_numbered_and_its_items_complete(stage: Stage) -> None:
    stage.play(*RULES)
    conversation, path = begin(stage.home.path, stage.cwd)
    for _ in range(2):
        server = stage.serve("fork")
        assert text(server.client.result(server.client.reply(conversation, "hello"))) == "Good day."
        server.leave()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["ordinal"] for line in lines] == list(range(len(lines)))
    told = [line["payload"] for line in lines if line["type"] == "event_msg"]
    assert not {"user_message", "agent_message"} & {event["type"] for event in told}
    items = [event["item"]["type"] for event in told if event["type"] == "item_completed"]
    assert items == ["UserMessage", *["UserMessage", "CommandExecution", "AgentMessage"] * 2]

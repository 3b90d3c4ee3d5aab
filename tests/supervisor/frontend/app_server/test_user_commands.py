"""Commands that the user runs in a thread: with the user's rights, in a turn of their own, and told to the model."""

import json
from typing import Any

from greenroom.demo.script import Text, rule
from tests.supervisor.frontend.app_server.conftest import Serve
from tests.support.app_server import AppClient
from tests.support.stage import Stage

HELLO = rule("hello", [Text("Hi.")])


def run(client: AppClient, thread: str, command: str, **params: object) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run a command, and return its turn and its item at their ends."""
    count = client.methods().count("turn/completed")
    assert (
        client.result(client.request("thread/shellCommand", {"threadId": thread, "command": command, **params})) == {}
    )
    turn = client.told("turn/completed", count)["turn"]
    (item,) = [one for one in client.items(turn["id"]) if one["type"] == "commandExecution"]
    return turn, item


def test_a_command_of_the_user_runs_with_the_users_rights_and_the_model_reads_of_it(stage: Stage, app: Serve) -> None:
    model = stage.play(HELLO)
    client = app("-c", "sandbox_mode=read-only", "-c", "allow_login_shell=false").app
    thread = client.start(cwd=stage.cwd)
    turn, item = run(client, thread, "echo x > made; cat made; exit 3")
    assert (turn["status"], item["source"], item["exitCode"]) == ("completed", "userShell", 3)
    assert item["aggregatedOutput"] == "x\n"
    assert (stage.workspace / "made").read_text() == "x\n"
    assert model.requests() == []
    client.completed(client.say(thread, "hello"))
    told = json.dumps(model.requests()[-1].body.decode())
    assert "<user_shell_command>" in told
    assert "Exit code: 3" in told
    assert run(client, thread, "sleep 600", timeoutMs=0)[1]["exitCode"] == 124
    assert client.refused("thread/shellCommand", {"threadId": thread, "command": " "})[0] == -32600
    # it is interrupted as any turn
    count = client.methods().count("turn/started")
    client.request("thread/shellCommand", {"threadId": thread, "command": "sleep 600"})
    running = client.told("turn/started", count)["turn"]["id"]
    client.result(client.request("turn/interrupt", {"threadId": thread, "turnId": running}))
    assert client.completed(running)["status"] == "interrupted"
    # what was run is no message of the user
    listed = client.result(client.request("thread/read", {"threadId": thread, "includeTurns": True}))["thread"]
    kinds = [item["type"] for turn in listed["turns"] for item in turn["items"]]
    assert kinds.count("userMessage") == 1

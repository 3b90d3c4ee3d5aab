"""On a host a turn that no call waits for outlives its client, and any client of the user decides its approvals."""

import sys

from greenroom.demo.script import Call, Quote, Text, rule
from greenroom.runtime.sockets.host_socket import socket_name
from tests.support.client import text
from tests.support.host import hosting
from tests.support.model import Gate
from tests.support.stage import Stage


def test_a_started_turn_goes_on_when_its_client_leaves_and_another_finds_its_end(stage: Stage) -> None:
    gate = Gate()
    stage.play(rule("slow", [gate.wait, Text("Done at last.")]))
    with hosting(stage) as host:
        first = host.client()
        begun = first.result(first.codex("slow", wait=False))["structuredContent"]
        first.leave()
        second = host.client()
        wanted = {"threadId": begun["threadId"], "callId": begun["callId"]}
        now = second.result(second.call("codex-wait", seconds=0, **wanted))["structuredContent"]
        assert now["turn"]["state"] in ("waiting", "running")
        stage.model.open(gate)
        ended = second.result(second.call("codex-wait", **wanted), within=50)["structuredContent"]
        assert (ended["turn"]["state"], ended["turn"]["content"]) == ("completed", "Done at last.")


def test_one_client_decides_what_another_cannot_ask(stage: Stage) -> None:
    touch = Call("shell", {"command": ["bash", "-c", "x=1; echo touched"], "with_escalated_permissions": True})
    stage.play(rule("touch", [touch], [Quote("Said: ")]), more="\n[greenroom]\napproval_tools = true\n")
    with hosting(stage) as host:
        first, second = host.client(), host.client()
        call = first.codex("touch", cwd=stage.cwd, approval_policy="untrusted")
        first.until(lambda message: "it waits for `codex-approve`" in str(message))
        (approval,) = second.result(second.call("codex-approvals"))["structuredContent"]["approvals"]
        decision = {"approvalId": approval["approvalId"], "decision": "approve"}
        assert not second.result(second.call("codex-approve", **decision)).get("isError")
        assert "touched" in text(first.result(call))
        assert first.result(first.call("codex-approve", **decision))["isError"]


def test_a_command_of_a_conversation_is_no_client_and_so_cannot_approve(stage: Stage) -> None:
    """P5: without a sandbox, under the same user, below the host."""
    path = stage.runtime / "greenroom" / socket_name(str(stage.home.path))
    script = (
        "import socket; client = socket.socket(socket.AF_UNIX); "
        f"client.settimeout(20); client.connect({str(path)!r}); "
        "print(client.recv(4096), client.recv(4096))"
    )
    stage.play(rule("pose", [Call("shell", {"command": [sys.executable, "-c", script]})], [Quote("Said: ")]))
    with hosting(stage) as host:
        client = host.client()
        call = client.codex("pose", cwd=stage.cwd, approval_policy="never", sandbox="danger-full-access")
        said = text(client.result(call, within=50))
        assert '"kind":"peer"' in said
        assert said.rstrip().endswith("b''"), "and the connection is closed"

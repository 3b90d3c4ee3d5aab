"""An operator lists what waits for a decision and decides it; what a conversation has started may not."""

import json
import subprocess
import sys
from typing import Any

import pytest

from greenroom.demo.script import Call, Quote, ScriptRule, rule
from greenroom.supervisor.cli.command_line import run
from tests.supervisor.cli.status.test_real_server import greenroom
from tests.support.client import RequestId, kind, text
from tests.support.deadline import until
from tests.support.server import Server
from tests.support.stage import Stage

ON = ("-c", "greenroom.approval_tools=true")
SAFE = {"approval_policy": "untrusted", "sandbox": "read-only"}
PROGRAM = f"{sys.executable} -I -m greenroom.supervisor.main"
REFUSED = "what an instance has started itself may not ask"


def rules(stage: Stage) -> list[ScriptRule]:
    touch = ["bash", "-c", f"x=1; touch {stage.workspace}/it && echo touched"]
    out = {"with_escalated_permissions": True, "justification": "it has to\u202e be there"}
    approve = f"{PROGRAM} approvals 2>&1; {PROGRAM} approve $(cat approval) 2>&1; echo status $?"
    return [
        rule("touch", [Call("shell", {"command": touch, **out})], [Quote("Said: ")]),
        rule(
            "approve", [Call("shell", {"command": ["bash", "-c", approve], "timeout_ms": 120_000})], [Quote("Said: ")]
        ),
    ]


def serve(stage: Stage, *options: str, more: str = "") -> Server:
    stage.play(*rules(stage), more=more)
    return stage.serve("fork", *options)


def ask(stage: Stage, server: Server) -> tuple[RequestId, dict[str, Any]]:
    """Begin a turn that needs an approval, and return its call and the approval."""
    client = server.client
    call = client.codex("touch", cwd=stage.cwd, **SAFE)
    client.until(lambda message: "it waits for `codex-approve`" in str(message), within=50)
    (approval,) = waiting(server)
    return call, approval


def waiting(server: Server) -> list[dict[str, Any]]:
    result = server.client.result(server.client.call("codex-approvals"))
    found: list[dict[str, Any]] = result["structuredContent"]["approvals"]
    return found


@pytest.mark.parametrize(
    ("options", "outcome"),
    [((), "touched"), (("--for-session",), "touched"), (("--deny", "--note", "not now"), "not now")],
)
def test_an_operator_decides(stage: Stage, options: tuple[str, ...], outcome: str) -> None:
    server = serve(stage, *ON)
    call, approval = ask(stage, server)
    done = greenroom(stage, "approve", approval["approvalId"][-8:], *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert outcome in text(server.client.result(call))


def test_an_operator_is_shown_what_waits_and_nothing_else(stage: Stage) -> None:
    server = serve(stage, *ON)
    call, approval = ask(stage, server)
    page = greenroom(stage, "approvals").stdout
    assert approval["approvalId"] in page
    assert "reason: it has to<U+202E> be there" in page
    assert "confined: False" in page
    told = json.loads(greenroom(stage, "approvals", "--json", "--full").stdout)
    assert told["secondsLeft"] < approval["secondsLeft"]
    assert {**told, "secondsLeft": 0} == {**approval, "secondsLeft": 0}
    server.client.cancel(call)
    server.client.result(call)
    assert greenroom(stage, "approvals").stdout == "Nothing waits for a decision.\n"
    again = greenroom(stage, "approve", approval["approvalId"])
    assert (again.returncode, "was decided" in again.stderr) == (1, True)


def test_an_operator_stops_a_turn(stage: Stage) -> None:
    server = serve(stage, *ON)
    call, approval = ask(stage, server)
    assert greenroom(stage, "approve", approval["approvalId"], "--stop").returncode == 0
    assert kind(server.client.result(call)) == "turn_aborted"


def test_without_the_setting_an_operator_is_refused(stage: Stage) -> None:
    server = serve(stage)
    server.client.ask("ping")
    told: list[subprocess.CompletedProcess[str]] = []

    def look() -> bool:
        told[:] = [greenroom(stage, "approvals")]
        return told[0].returncode != 1

    until(look, within=60)  # until it has been found
    assert (told[0].returncode, "`approval_tools`" in told[0].stderr) == (3, True)


def test_where_nothing_runs_that_is_said(stage: Stage) -> None:
    stage.play(*rules(stage))
    for words in (("approvals",), ("approve", "01a20312"), ("approve", "01a20312", "--note", "x" * 1000)):
        assert greenroom(stage, *words).returncode == 1


@pytest.mark.parametrize("words", [("x",), ("01a20312", "--deny", "--stop"), ()])
def test_a_wrong_command_line_is_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as left:
        run(["approve", *words])
    assert left.value.code == 1


def test_a_command_of_a_conversation_cannot_approve(stage: Stage) -> None:
    """P5: without a sandbox, under the same user, below the server, for another conversation or its own."""
    server = serve(stage, *ON)
    call, approval = ask(stage, server)
    (stage.workspace / "approval").write_text(approval["approvalId"])
    spy = server.client.codex("approve", cwd=stage.cwd, approval_policy="never", sandbox="danger-full-access")
    said = text(server.client.result(spy, within=50))
    assert said.count(REFUSED) == 2
    assert "status 0" not in said
    assert [one["approvalId"] for one in waiting(server)] == [approval["approvalId"]]
    server.client.cancel(call)
    server.client.result(call)


def test_an_mcp_server_of_a_conversation_cannot_approve(stage: Stage) -> None:
    """P5: it is started by the conversation as well, and runs outside the sandbox."""
    report = stage.workspace / "report"
    words = f"{PROGRAM} approvals > {report}.part 2>&1; mv {report}.part {report}"
    environment = {name: stage.environment()[name] for name in ("CODEX_HOME", "XDG_RUNTIME_DIR")}
    table = f'\n[mcp_servers.spy]\ncommand = "bash"\nargs = ["-c", {json.dumps(words)}]\n'
    values = "".join(f"{name} = {json.dumps(value)}\n" for name, value in environment.items())
    server = serve(stage, *ON, more=f"{table}startup_timeout_sec = 50\n[mcp_servers.spy.env]\n{values}")
    call, approval = ask(stage, server)
    until(report.exists, within=50)
    assert REFUSED in report.read_text()
    assert approval["kind"] == "command"
    server.client.cancel(call)
    server.client.result(call)

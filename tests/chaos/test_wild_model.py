"""A model that does everything wrong is told so each time, and its turn goes on, in bounded memory and time (P7)."""

from collections.abc import Sequence

import psutil
import pytest

from greenroom.demo.script import Call, CommandStep, PatchStep, ScriptedAction, Text, rule
from tests.support import processes
from tests.support.client import text
from tests.support.stage import Stage

pytestmark = pytest.mark.executed  # it measures memory

MEMORY = 160 * 1024 * 1024
"""Bytes that no process of the server ever holds, whatever a command writes."""
FLOOD = "head -c 100000000 /dev/zero | tr '\\0' x"
SWARM = "for i in $(seq 1000); do sleep 600 & done; echo swarm"
MISFIT = "*** Begin Patch\n*** Update File: a.txt\n@@\n-never there\n+x\n*** End Patch"

SHELL: Sequence[tuple[ScriptedAction, str]] = [
    (Call("rm_rf", {}), "unsupported call: rm_rf"),
    (Call("shell", '{"command": ["ls"'), "failed to parse function arguments: "),
    (Call("shell", {"command": 5}), "failed to parse function arguments: "),
    (Call("shell", {"command": []}), "execution error: "),
    (Call("shell", {"command": ["no-such-program"]}), "execution error: cannot run no-such-program"),
    (PatchStep(MISFIT), "apply_patch verification failed: "),
    (Call("shell", {"command": ["sh", "-c", FLOOD], "timeout_ms": 60_000}), "Warning: truncated output"),
    (Call("shell", {"command": ["sh", "-c", SWARM], "timeout_ms": 30_000}), "swarm"),
    (Call("shell", {"command": ["sleep", "600"], "timeout_ms": 300}), "command timed out after 300 milliseconds"),
    (CommandStep(("echo", "sane again")), "sane again"),
]
EXEC: Sequence[tuple[ScriptedAction, str]] = [
    (Call("rm_rf", {}), "unsupported call: rm_rf"),
    (Call("exec_command", '{"cmd": "ls"'), "failed to parse function arguments: "),
    (Call("exec_command", {"cmd": 5}), "failed to parse function arguments: "),
    (Call("write_stdin", {"session_id": 1, "chars": "x"}), "write_stdin failed: Unknown process id 1"),
    (Call("exec_command", {"cmd": "true", "shell": "no-such-shell"}), "exec_command failed: "),
    (PatchStep(MISFIT), "apply_patch verification failed: "),
    (Call("exec_command", {"cmd": FLOOD, "yield_time_ms": 30_000}), "Warning: truncated output"),
    (Call("exec_command", {"cmd": SWARM, "yield_time_ms": 30_000}), "swarm"),
    (Call("exec_command", {"cmd": "exec sleep 600", "yield_time_ms": 250}), "Process running with session ID"),
    (CommandStep(("echo", "sane again")), "sane again"),
]


def peak(process: psutil.Process) -> int:
    """Return the largest resident memory of a process so far; 0 where it is gone, as a monitor is at any time."""
    try:
        with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
            lines = [line for line in status if line.startswith("VmHWM:")]
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(lines[0].split()[1]) * 1024 if lines else 0


@pytest.mark.parametrize(
    ("model", "sandbox", "course"),
    [("scripted", "workspace-write", SHELL), ("gpt-5.5", "danger-full-access", EXEC)],
    ids=["shell", "exec_command"],
)
def test_a_wild_model_is_told_and_the_turn_goes_on(
    stage: Stage, model: str, sandbox: str, course: Sequence[tuple[ScriptedAction, str]]
) -> None:
    (stage.workspace / "a.txt").write_text("something else\n")
    script = stage.play(rule("go wild", *([action] for action, _ in course), [Text("Done.")]))
    server = stage.serve("fork", "-c", "greenroom.events=progress", HOME=stage.cwd)
    client = server.client
    call = client.codex("go wild", cwd=stage.cwd, model=model, sandbox=sandbox)
    assert text(client.result(call, within=120.0)) == "Done."
    *_, last = script.requests()
    for output, (_, expected) in zip(last.request.outputs, course, strict=True):
        assert expected in output
        assert len(output) < 100_000
    ours = [process for process in processes.tree(server.process.pid) if processes.name_of(process).startswith("gr-")]
    assert max(map(peak, ours)) < MEMORY

"""Commands that a client runs: with input, a terminal and output as it comes, in the sandbox, and gone with it."""

import base64
import os
from typing import Any

from greenroom.demo.script import Text, rule
from tests.supervisor.frontend.app_server.conftest import Serve
from tests.support.app_server import AppClient
from tests.support.client import RequestId
from tests.support.stage import Stage

HELLO = rule("hello", [Text("Hi.")])
FREE = {"type": "dangerFullAccess"}


class Commands:
    """The commands of one client."""

    def __init__(self, client: AppClient, cwd: str) -> None:
        self.client = client
        self._cwd = cwd

    def begin(self, *command: str, **params: object) -> RequestId:
        return self.client.request("command/exec", {"command": list(command), "cwd": self._cwd, **params})

    def ends(self, request: RequestId) -> dict[str, Any]:
        return self.client.result(request)

    def do(self, method: str, process: str, **params: object) -> dict[str, Any]:
        return self.client.result(self.client.request(f"command/exec/{method}", {"processId": process, **params}))

    def write(self, process: str, data: bytes, *, close: bool = False) -> None:
        encoded = base64.b64encode(data).decode()
        assert self.do("write", process, deltaBase64=encoded, closeStdin=close) == {}

    def output(self, process: str, stream: str = "stdout") -> bytes:
        """Return what has been told of a stream."""
        return b"".join(
            base64.b64decode(message["params"]["deltaBase64"])
            for message in self.client.messages
            if message.get("method") == "command/exec/outputDelta"
            and (message["params"]["processId"], message["params"]["stream"]) == (process, stream)
        )

    def until(self, process: str, data: bytes) -> None:
        """Wait until a command has written something."""
        if data not in self.output(process):
            self.client.until(lambda _: data in self.output(process))


def test_commands_are_written_to_resized_and_killed(stage: Stage, app: Serve) -> None:
    stage.play(HELLO)
    commands = Commands(app().app, stage.cwd)
    for sandbox in ({"type": "readOnly"}, FREE):
        # input and output by pipes, in the order in which they are written
        script = "read line; echo got $line; cat >&2"
        running = commands.begin(
            *("sh", "-c", script),
            processId="p",
            streamStdin=True,
            streamStdoutStderr=True,
            sandboxPolicy=sandbox,
        )
        commands.write("p", b"one\ntwo\n")
        commands.write("p", b"three", close=True)
        assert commands.ends(running) == {"exitCode": 0, "stdout": "", "stderr": ""}
        assert (commands.output("p"), commands.output("p", "stderr")) == (b"got one\n", b"two\nthree")
        commands.client.messages.clear()
        # a terminal, with a size that changes
        script = 'stty size; while read -r line; do echo "<$line> $(stty size)"; done'
        running = commands.begin(
            *("sh", "-c", script), processId="t", tty=True, size={"rows": 5, "cols": 50}, sandboxPolicy=sandbox
        )
        commands.until("t", b"5 50")
        assert commands.do("resize", "t", size={"rows": 6, "cols": 60}) == {}
        commands.write("t", b"x\n")
        commands.until("t", b"<x> 6 60")
        assert commands.do("write", "t", closeStdin=True) == {}
        assert commands.ends(running)["exitCode"] == 0
        # killed with all that it has started
        script = "sleep 600 & echo $!; wait"
        running = commands.begin(*("sh", "-c", script), processId="k", streamStdoutStderr=True, sandboxPolicy=sandbox)
        commands.until("k", b"\n")
        assert commands.do("terminate", "k") == {}
        assert commands.ends(running)["exitCode"] == 128 + 9
        commands.client.messages.clear()


def test_at_a_terminal_input_ends_behind_an_unfinished_line_and_holds_no_resizing_up(stage: Stage, app: Serve) -> None:
    stage.play(HELLO)
    commands = Commands(app().app, stage.cwd)
    running = commands.begin("cat", processId="c", tty=True, sandboxPolicy=FREE)
    commands.write("c", b"unfinished", close=True)
    assert commands.ends(running)["exitCode"] == 0
    script = "stty raw -echo; echo there; sleep 600"
    running = commands.begin("sh", "-c", script, processId="d", tty=True, sandboxPolicy=FREE)
    commands.until("d", b"there")
    stuck = {"processId": "d", "deltaBase64": base64.b64encode(bytes(1 << 20)).decode()}
    commands.client.request("command/exec/write", stuck)
    assert commands.do("resize", "d", size={"rows": 6, "cols": 60}) == {}
    assert commands.do("terminate", "d") == {}
    assert commands.ends(running)["exitCode"] == 128 + 9


def test_limits_hold_and_what_cannot_be_done_is_refused(stage: Stage, app: Serve) -> None:
    stage.play(HELLO)
    commands = Commands(app().app, stage.cwd)
    client = commands.client
    # buffered: plain exit codes, a cap, variables, and a time
    ran = commands.ends(commands.begin("sh", "-c", "echo $A${HOME-none}; exit 3", env={"A": "1", "HOME": None}))
    assert ran == {"exitCode": 3, "stdout": "1none\n", "stderr": ""}
    assert commands.ends(commands.begin("echo", "123456", outputBytesCap=4))["stdout"] == "1234"
    assert commands.ends(commands.begin("sleep", "600", timeoutMs=100))["exitCode"] == 124
    # the sandbox of the configuration, unless another is named
    denied = commands.ends(commands.begin("touch", "x", sandboxPolicy={"type": "readOnly"}))
    assert denied["exitCode"] != 0
    assert denied["stderr"]
    assert not os.path.exists(os.path.join(stage.cwd, "x"))
    assert commands.ends(commands.begin("touch", "x", permissionProfile=":workspace"))["exitCode"] == 0
    # a cap of a stream, which the command does not notice
    script = "printf abcdef; printf done >&2"
    running = commands.begin("sh", "-c", script, processId="c", streamStdoutStderr=True, outputBytesCap=4)
    assert commands.ends(running)["exitCode"] == 0
    assert (commands.output("c"), commands.output("c", "stderr")) == (b"abcd", b"done")
    assert client.told("command/exec/outputDelta", stream="stdout")["capReached"] is True
    # refusals
    waiting = commands.begin("cat", processId="w", streamStdin=True)
    assert client.refused("command/exec", {"command": ["true"], "processId": "w"})[0] == -32600
    assert client.refused("command/exec/resize", {"processId": "w", "size": {"rows": 1, "cols": 1}})[0] == -32600
    assert client.refused("command/exec/write", {"processId": "w"})[0] == -32602
    assert client.refused("command/exec/write", {"processId": "w", "deltaBase64": "?"})[0] == -32602
    assert client.refused("command/exec/terminate", {"processId": "other"})[0] == -32600
    assert client.refused("command/exec", {"command": ["no-such-program"]})[1].startswith("exec failed: cannot run")
    commands.write("w", b"x", close=True)
    assert client.refused("command/exec/write", {"processId": "w", "deltaBase64": ""})[0] == -32600
    assert commands.ends(waiting) == {"exitCode": 0, "stdout": "x", "stderr": ""}
    # whatever runs ends with its client
    commands.begin("sleep", "600", processId="left", disableTimeout=True)

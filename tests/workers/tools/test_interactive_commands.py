"""Commands that go on between the calls of the model: read, written to, stopped, bounded, and ended with all else."""

import asyncio
import base64
import re
import sys
from dataclasses import dataclass

import pytest

from greenroom.config.tables.sandbox import ConfinementPolicy, DangerFullAccessPolicy, ReadOnlyPolicy
from greenroom.protocol.approval import Decision
from greenroom.protocol.items import JsonObject
from greenroom.workers.tools import background_commands, write_stdin
from greenroom.workers.tools.toolbox import Toolbox
from tests.support.deadline import until
from tests.workers.places import FIRST, INSIDE, SECOND, Place, function

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="the sandbox tried here is that of Linux"),
]

RESULT = re.compile(
    r"Chunk ID: [0-9a-f]{6}\nWall time: (?P<seconds>\d+\.\d{4}) seconds\n"
    r"(?:Process exited with code (?P<code>\d+)|Process running with session ID (?P<number>\d+))\n"
    r"Original token count: (?P<tokens>\d+)\nOutput:\n(?P<output>.*)",
    re.DOTALL,
)
SANDBOXES = pytest.mark.parametrize("sandbox", [INSIDE, DangerFullAccessPolicy()], ids=lambda policy: policy.type)
YES, NO = Decision(verdict="approved"), Decision(verdict="denied")


@dataclass(frozen=True)
class Result:
    """What the model is told of a command."""

    output: str
    code: int | None
    number: int | None
    tokens: int


def read(told: object) -> Result:
    assert isinstance(told, str)
    found = RESULT.fullmatch(told)
    assert found, told
    code, number = (None if found[name] is None else int(found[name]) for name in ("code", "number"))
    return Result(found["output"], code, number, int(found["tokens"]))


async def run(toolbox: Toolbox, cmd: str, **more: object) -> Result:
    return read(await toolbox.call(FIRST, function("exec_command", cmd=cmd, **more)))


async def go_on(toolbox: Toolbox, cmd: str, **more: object) -> int:
    """Run a command that does not end soon, and return its number."""
    number = (await run(toolbox, cmd, yield_time_ms=250, **more)).number
    assert number is not None
    return number


async def write(toolbox: Toolbox, number: int, chars: str = "", **more: object) -> Result:
    return read(await toolbox.call(FIRST, function("write_stdin", session_id=number, chars=chars, **more)))


async def write_until(toolbox: Toolbox, number: int, chars: str, expected: str) -> str:
    """Write, and read on with empty lines until what is expected has come."""
    seen = (await write(toolbox, number, chars)).output
    async with asyncio.timeout(30):
        while expected not in seen:
            seen += (await write(toolbox, number, "\n")).output
    return seen


@pytest.fixture(autouse=True)
def short_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_stdin, "SHORTEST_POLL_MS", 250)


@SANDBOXES
@pytest.mark.parametrize("tty", [True, False])
def test_what_ends_in_time_is_told_whole(place: Place, sandbox: ConfinementPolicy, tty: bool) -> None:
    async def scene(toolbox: Toolbox) -> None:
        told = await run(toolbox, "echo hi; exit 3", tty=tty)
        assert told == Result("hi\r\n" if tty else "hi\n", code=3, number=None, tokens=1)

    place.play(place.toolbox(sandbox=sandbox), scene)
    begin, delta, end = place.events
    facts = ["call_id", "turn_id", "command", "cwd", "parsed_cmd", "process_id", "source"]
    assert [begin[name] for name in facts] == [end[name] for name in facts]
    assert (begin["command"], begin["source"]) == (["bash", "-lc", "echo hi; exit 3"], "unified_exec_startup")
    assert base64.b64decode(str(delta["chunk"])).replace(b"\r", b"") == b"hi\n"
    assert (end["type"], end["exit_code"], end["status"]) == ("exec_command_end", 3, "failed")


@SANDBOXES
def test_a_terminal_is_written_to_across_turns(place: Place, sandbox: ConfinementPolicy) -> None:
    async def scene(toolbox: Toolbox) -> None:
        script = "stty size; while read line; do echo got $line; done"
        began = await run(toolbox, script, tty=True, yield_time_ms=250)
        number, seen = began.number, began.output
        assert number is not None
        async with asyncio.timeout(30):
            while "24 80\r\n" not in seen:  # what is written before is echoed before
                seen += (await write(toolbox, number)).output
        seen = await write_until(toolbox, number, "one\n", "got one")
        assert "one\r\n" in seen, "a terminal echoes"
        toolbox.end_turn()
        await toolbox.begin_turn()
        await write_until(toolbox, number, "two\n", "got two")
        ended = await write(toolbox, number, "\x04", yield_time_ms=20_000)
        assert (ended.code, ended.number) == (0, None)
        again = await toolbox.call(SECOND, function("write_stdin", session_id=number))
        assert again == f"write_stdin failed: Unknown process id {number}"

    place.play(place.toolbox(sandbox=sandbox), scene)
    written = [event["stdin"] for event in place.events if event["type"] == "terminal_interaction"]
    assert ("one\n" in written, "two\n" in written, written[-1]) == (True, True, "\x04")
    (end,) = (event for event in place.events if event["type"] == "exec_command_end")
    assert str(end["aggregated_output"]).startswith("24 80\r\n")


def test_output_is_told_once(place: Place) -> None:
    async def scene(toolbox: Toolbox) -> None:
        (place.cwd / "more").touch()
        script = "echo first; tail -f more --pid $$ & while [ ! -e stop ]; do sleep 0.02; done; echo last"
        told = [await run(toolbox, script, yield_time_ms=250)]
        assert told[0].number is not None
        told.append(await write(toolbox, told[0].number))
        (place.cwd / "stop").touch()
        told.append(await write(toolbox, told[0].number, yield_time_ms=20_000))
        assert "".join(result.output for result in told) == "first\nlast\n"
        assert (told[-1].output.endswith("last\n"), told[-1].code) == (True, 0)

    place.play(place.toolbox(), scene)


@SANDBOXES
def test_ctrl_c_stops_what_has_no_terminal_and_nothing_else_can_be_written(
    place: Place, sandbox: ConfinementPolicy
) -> None:
    async def scene(toolbox: Toolbox) -> None:
        # Without a child of its own: bash drops an interrupt if the command that it waits for ends in another way.
        number = await go_on(toolbox, "trap 'exit 130' INT; echo begun; while :; do :; done")
        await place.output.wait()  # a shell that is still starting ignores the signal, and so does one in an exec
        refused = await toolbox.call(FIRST, function("write_stdin", session_id=number, chars="x"))
        assert str(refused).startswith("write_stdin failed: stdin is closed for this session")
        assert (await write(toolbox, number, "\x03", yield_time_ms=20_000)).code == 130

    place.play(place.toolbox(sandbox=sandbox), scene)


def test_what_has_ended_meanwhile_takes_no_text_and_tells_its_end(place: Place) -> None:
    async def scene(toolbox: Toolbox) -> None:
        number = await go_on(toolbox, "while [ ! -e stop ]; do sleep 0.02; done; echo over", tty=True)
        (kept,) = toolbox.open_commands
        (place.cwd / "stop").touch()
        async with asyncio.timeout(20):
            await kept.over.wait()
        assert await write(toolbox, number, "too late\n") == Result("over\r\n", code=0, number=None, tokens=2)

    place.play(place.toolbox(), scene)


def test_more_text_than_a_terminal_holds_waits_no_longer_than_the_model(place: Place) -> None:
    async def scene(toolbox: Toolbox) -> None:
        number = await go_on(toolbox, "stty raw -echo; exec sleep 600", tty=True)
        assert (await write(toolbox, number, "x" * 100_000, yield_time_ms=500)).number == number
        (kept,) = toolbox.open_commands
        typing = asyncio.create_task(kept.command.type("x" * 100_000))
        await asyncio.sleep(0)
        kept.command.interrupt()
        async with asyncio.timeout(20):
            await typing

    place.play(place.toolbox(), scene)


def test_ctrl_c_in_a_terminal_reaches_what_runs_there(place: Place) -> None:
    async def scene(toolbox: Toolbox) -> None:
        number = await go_on(toolbox, "echo begun; sleep 600; echo woken", tty=True)
        await place.output.wait()
        ended = await write(toolbox, number, "\x03", yield_time_ms=20_000)
        assert ended.code == 130
        assert ended.output.endswith("^C")

    place.play(place.toolbox(sandbox=DangerFullAccessPolicy()), scene)


@SANDBOXES
def test_the_end_of_the_conversation_ends_them_all(place: Place, sandbox: ConfinementPolicy) -> None:
    async def scene(toolbox: Toolbox) -> None:
        await go_on(toolbox, "sleep 600 & sleep 600", tty=True)
        await go_on(toolbox, "(setsid sleep 600 &) ; exec sleep 600")
        toolbox.end_turn()

    place.play(place.toolbox(sandbox=sandbox), scene)


def test_a_stopped_turn_ends_the_command_that_it_waited_for_and_no_other(place: Place) -> None:
    async def scene(toolbox: Toolbox) -> None:
        number = await go_on(toolbox, "exec sleep 600")
        task = asyncio.create_task(toolbox.call(FIRST, function("exec_command", cmd="echo on; exec sleep 601")))
        async with asyncio.timeout(20):
            await place.output.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        until(lambda: len(place.sleepers()) == 1)
        assert (await write(toolbox, number)).number == number

    place.play(place.toolbox(), scene)


def test_an_end_between_two_turns_is_told_in_the_next(place: Place) -> None:
    async def scene(toolbox: Toolbox) -> None:
        number = await go_on(toolbox, "while [ ! -e stop ]; do sleep 0.02; done; echo done; exit 7")
        toolbox.end_turn()
        told = len(place.events)
        (place.cwd / "stop").touch()
        (kept,) = toolbox.open_commands
        async with asyncio.timeout(20):
            await kept.over.wait()
        assert place.events[told:] == []
        assert place.all_ended == 1
        await toolbox.begin_turn()
        (end,) = place.events[told:]
        assert (end["type"], end["exit_code"], end["aggregated_output"]) == ("exec_command_end", 7, "done\n")
        last = await write(toolbox, number)
        assert (last.output, last.code) == ("done\n", 7)

    place.play(place.toolbox(), scene)


def test_there_are_never_more_than_the_limit(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background_commands, "MOST", 4)
    monkeypatch.setattr(background_commands, "RECENT", 2)

    async def scene(toolbox: Toolbox) -> None:
        first, second, third, fourth = [await go_on(toolbox, f"exec sleep 60{number}") for number in range(4)]
        await write(toolbox, first)
        fifth = await go_on(toolbox, "exec sleep 604")
        kept = {command.number for command in toolbox.open_commands}
        assert kept == {first, third, fourth, fifth}, "the one that was not used for longest is gone"
        gone = await toolbox.call(FIRST, function("write_stdin", session_id=second))
        assert gone == f"write_stdin failed: Unknown process id {second}"
        until(lambda: len(place.sleepers()) == 4)

    place.play(place.toolbox(), scene)


def test_a_flood_is_told_in_part_and_comes_to_its_end(place: Place) -> None:
    async def scene(toolbox: Toolbox) -> None:
        told = [await run(toolbox, "yes | head -c 30000000; echo; echo last", max_output_tokens=100)]
        async with asyncio.timeout(30):
            while (number := told[-1].number) is not None:
                told.append(await write(toolbox, number, max_output_tokens=100))
        assert all(len(result.output) < 1_000 for result in told)
        assert told[0].output.startswith("Warning: truncated output (original token count: ")
        assert told[-1].output.endswith("last\n")

    place.play(place.toolbox(), scene)
    (end,) = (event for event in place.events if event["type"] == "exec_command_end")
    assert len(str(end["aggregated_output"])) < 100_000


def test_what_cannot_be_started_is_told(place: Place) -> None:
    async def scene(toolbox: Toolbox) -> None:
        nowhere = await toolbox.call(FIRST, function("exec_command", cmd="true", workdir="nowhere"))
        assert str(nowhere).startswith(f"exec_command failed: cannot enter the directory {place.cwd}/nowhere: ")
        nothing = await toolbox.call(FIRST, function("exec_command", cmd="true", shell="no-such-shell"))
        assert nothing == "exec_command failed: cannot run no-such-shell: No such file or directory"
        assert list(toolbox.open_commands) == []

    place.play(place.toolbox(), scene)
    assert place.kinds() == ["exec_command_begin", "exec_command_end"] * 2


@pytest.mark.parametrize("login", [True, False])
def test_the_flag_of_the_shell_follows_the_model(place: Place, login: bool) -> None:
    (place.root / ".profile").write_text("export SEEN=yes")

    async def scene(toolbox: Toolbox) -> None:
        assert (await run(toolbox, "echo ${SEEN-no}", login=login)).output == f"{'yes' if login else 'no'}\n"

    place.play(place.toolbox(), scene)


def test_a_patch_in_shell_text_is_applied_here(place: Place) -> None:
    patch = "apply_patch <<'EOF'\n*** Begin Patch\n*** Add File: new.txt\n+hello\n*** End Patch\nEOF"

    async def scene(toolbox: Toolbox) -> None:
        told = await toolbox.call(FIRST, function("exec_command", cmd=patch))
        assert told == "Success. Updated the following files:\nA new.txt\n"

    place.play(place.toolbox(), scene)


def test_the_sandbox_holds_in_a_terminal_too(place: Place) -> None:
    async def scene(toolbox: Toolbox) -> None:
        script = f"touch {place.outside}/file 2>/dev/null || echo kept in; cat {place.home}/auth.json || echo kept out"
        told = await run(toolbox, script, tty=True)
        assert "kept in" in told.output
        assert "kept out" in told.output

    place.play(place.toolbox(), scene)
    assert list(place.outside.iterdir()) == []


def escalated(cmd: str) -> JsonObject:
    return function("exec_command", cmd=cmd, tty=True, yield_time_ms=250, sandbox_permissions="require_escalated")


def test_text_for_what_the_user_let_out_of_the_sandbox_is_asked_for(place: Place) -> None:
    async def scene(toolbox: Toolbox) -> None:
        number = read(await toolbox.call(FIRST, escalated("stty -echo; cat"))).number
        assert number is not None
        await write_until_asked(toolbox, number)
        refused = await toolbox.call(FIRST, function("write_stdin", session_id=number, chars="secret\n"))
        assert refused == "text for the command rejected by user; it runs on without it"
        assert (await write(toolbox, number, "\x03", yield_time_ms=20_000)).code == 130

    async def write_until_asked(toolbox: Toolbox, number: int) -> None:
        assert "fine" in (await write(toolbox, number, "fine\n", yield_time_ms=1_000)).output

    place.play(place.toolbox("on-request", INSIDE, [YES, YES, NO]), scene)
    assert place.questions == 3
    asked = [event for event in place.events if event["type"] == "exec_approval_request"]
    assert [event["command"] for event in asked[1:]] == [["write_stdin", "fine\n"], ["write_stdin", "secret\n"]]


def test_text_for_what_is_confined_needs_no_consent(place: Place) -> None:
    async def scene(toolbox: Toolbox) -> None:
        number = await go_on(toolbox, "cat", tty=True)
        await write_until(toolbox, number, "fine\n", "fine")

    place.play(place.toolbox("on-request", INSIDE), scene)
    assert place.questions == 0


def test_what_fails_inside_is_tried_outside_with_consent(place: Place) -> None:
    async def scene(toolbox: Toolbox) -> None:
        told = await run(toolbox, f"touch {place.outside}/file && echo done")
        assert (told.output, told.code) == ("done\n", 0)

    place.play(place.toolbox("on-failure", ReadOnlyPolicy(), [YES]), scene)
    assert (place.outside / "file").exists()


@pytest.mark.parametrize(
    "call",
    [
        function("exec_command"),
        function("exec_command", cmd=5),
        function("exec_command", cmd="true", yield_time_ms=-1),
        function("write_stdin", chars="x"),
        function("write_stdin", session_id="one"),
    ],
)
def test_arguments_that_do_not_fit_run_nothing(place: Place, call: JsonObject) -> None:
    async def scene(toolbox: Toolbox) -> None:
        assert str(await toolbox.call(FIRST, call)).startswith("failed to parse function arguments: ")

    place.play(place.toolbox(), scene)
    assert place.events == []

"""The tools of a conversation run where its policies say, in the real sandbox, and leave nothing behind."""

import asyncio
import sys
from collections.abc import Callable

import psutil
import pytest

from greenroom.config.tables.sandbox import ConfinementPolicy, DangerFullAccessPolicy, ReadOnlyPolicy
from greenroom.protocol.approval import Decision
from greenroom.protocol.items import JsonObject
from greenroom.workers.sandbox.rules import features
from greenroom.workers.tools.toolbox import Toolbox
from tests.support import processes
from tests.workers.places import FIRST, INSIDE, SECOND, SECRET, Place, custom, function, output, shell

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox tried here is that of Linux")

PATCH = "*** Begin Patch\n*** Add File: {path}\n+hello\n*** End Patch"


def test_what_the_sandbox_does_not_hold_is_known_once_a_command_has_run_in_it(place: Place) -> None:
    async def scene(toolbox: Toolbox) -> None:
        assert toolbox.sandbox_limits == ()
        await toolbox.call(FIRST, shell("true"))
        assert toolbox.sandbox_limits == features.probe().limits(writes=True)

    place.play(place.toolbox(), scene)


ATTEMPTS = """\
touch {cwd}/inside && echo wrote inside
touch {outside}/file 2>/dev/null || echo kept in
cat {home}/auth.json 2>/dev/null || echo kept out
"""


def test_a_confined_command_writes_where_it_may_and_reads_no_login(place: Place) -> None:
    async def scene(toolbox: Toolbox) -> None:
        script = ATTEMPTS.format(cwd=place.cwd, outside=place.outside, home=place.home)
        assert output(await toolbox.call(FIRST, shell(script))) == "wrote inside\nkept in\nkept out\n"

    place.play(place.toolbox(), scene)
    assert (place.cwd / "inside").exists()
    assert list(place.outside.iterdir()) == []


def test_full_access_is_full_access(place: Place) -> None:
    async def scene(toolbox: Toolbox) -> None:
        script = ATTEMPTS.format(cwd=place.cwd, outside=place.outside, home=place.home)
        assert output(await toolbox.call(FIRST, shell(script))) == f"wrote inside\n{SECRET}"

    place.play(place.toolbox(sandbox=DangerFullAccessPolicy()), scene)


def test_the_directory_of_a_call_widens_nothing(place: Place) -> None:
    async def scene(toolbox: Toolbox) -> None:
        told = await toolbox.call(FIRST, shell("touch file 2>/dev/null || echo kept in", workdir=str(place.outside)))
        assert output(told) == "kept in\n"

    place.play(place.toolbox(), scene)
    assert list(place.outside.iterdir()) == []


def test_consent_lifts_the_sandbox_for_that_command_only(place: Place) -> None:
    async def scene(toolbox: Toolbox) -> None:
        script = f"touch {place.outside}/$0 2>/dev/null && echo free || echo confined"
        asked = shell(script, with_escalated_permissions=True)
        assert output(await toolbox.call(FIRST, asked)) == "free\n"
        assert output(await toolbox.call(FIRST, shell(script))) == "confined\n"

    place.play(place.toolbox("on-request", INSIDE, [Decision(verdict="approved")]), scene)
    assert place.questions == 1


def test_what_fails_inside_is_tried_outside_with_consent(place: Place) -> None:
    async def scene(toolbox: Toolbox) -> None:
        told = await toolbox.call(FIRST, shell(f"touch {place.outside}/file && echo done"))
        assert output(told) == "done\n"

    place.play(place.toolbox("on-failure", ReadOnlyPolicy(), [Decision(verdict="approved")]), scene)
    assert (place.outside / "file").exists()
    assert place.kinds().count("exec_command_begin") == place.kinds().count("exec_command_end") == 2


def test_consent_for_the_session_outlives_the_turn(place: Place) -> None:
    async def scene(toolbox: Toolbox) -> None:
        for turn in (FIRST, SECOND):
            assert output(await toolbox.call(turn, shell("x=1; echo ran"))) == "ran\n"

    place.play(place.toolbox("untrusted", INSIDE, [Decision(verdict="approved_for_session")]), scene)
    assert place.questions == 1


@pytest.mark.parametrize(
    "make",
    [lambda text: function("apply_patch", input=text), lambda text: custom("apply_patch", text)],
    ids=["function", "custom"],
)
def test_patches_come_in_both_kinds_of_calls(place: Place, make: Callable[[str], JsonObject]) -> None:
    async def scene(toolbox: Toolbox) -> None:
        told = await toolbox.call(FIRST, make(PATCH.format(path="new.txt")))
        assert told == "Success. Updated the following files:\nA new.txt\n"
        refused = await toolbox.call(FIRST, make(PATCH.format(path=f"{place.outside}/new.txt")))
        assert str(refused).startswith("patch rejected: writing outside of the project")

    place.play(place.toolbox(), scene)
    assert (place.cwd / "new.txt").read_text() == "hello\n"
    assert list(place.outside.iterdir()) == []


def test_a_command_that_undoes_a_patch_takes_its_diff_back(place: Place) -> None:
    async def scene(toolbox: Toolbox) -> None:
        await toolbox.call(FIRST, function("apply_patch", input=PATCH.format(path="a.txt")))
        await toolbox.call(FIRST, function("shell", command=["true"]))
        await toolbox.call(FIRST, function("shell", command=["rm", "a.txt"]))

    place.play(place.toolbox(), scene)
    diffs = [bool(event["unified_diff"]) for event in place.events if event["type"] == "turn_diff"]
    assert diffs == [True, False]


def test_the_diff_begins_anew_with_each_turn(place: Place) -> None:
    async def scene(toolbox: Toolbox) -> None:
        for turn, path in ((FIRST, "a.txt"), (FIRST, "b.txt"), (SECOND, "c.txt")):
            await toolbox.call(turn, function("apply_patch", input=PATCH.format(path=path)))

    place.play(place.toolbox(), scene)
    diffs = [str(event["unified_diff"]) for event in place.events if event["type"] == "turn_diff"]
    named = [[name for name in ("a.txt", "b.txt", "c.txt") if name in diff] for diff in diffs]
    assert named == [["a.txt"], ["a.txt", "b.txt"], ["c.txt"]]
    turns = [event["turn_id"] for event in place.events if event["type"] == "patch_apply_begin"]
    assert turns == [FIRST, FIRST, SECOND]


@pytest.mark.parametrize("call", [function("nothing"), custom("shell", "ls")])
def test_a_call_of_nothing_we_have_is_told(place: Place, call: JsonObject) -> None:
    async def scene(toolbox: Toolbox) -> None:
        assert str(await toolbox.call(FIRST, call)).startswith("unsupported ")

    place.play(place.toolbox(), scene)
    assert place.events == []


@pytest.mark.parametrize("sandbox", [INSIDE, DangerFullAccessPolicy()], ids=lambda policy: policy.type)
def test_what_a_command_leaves_running_ends_with_the_conversation(place: Place, sandbox: ConfinementPolicy) -> None:
    async def scene(toolbox: Toolbox) -> None:
        pid = int(output(await toolbox.call(FIRST, shell("sleep 600 >/dev/null 2>&1 & echo $!"))))
        assert processes.alive(pid)
        toolbox.kill_all()
        assert processes.ends(pid, within=2.0)

    place.play(place.toolbox(sandbox=sandbox), scene)


def test_a_stopped_turn_kills_the_confined_command(place: Place) -> None:
    async def scene(toolbox: Toolbox) -> None:
        task = asyncio.create_task(toolbox.call(FIRST, shell("echo on; exec sleep 600", timeout_ms=600_000)))
        async with asyncio.timeout(20):
            await place.output.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert place.kinds()[-1] == "exec_command_end"
        assert place.sleepers() == []
        assert output(await toolbox.call(FIRST, shell("echo still there"))) == "still there\n"

    place.play(place.toolbox(), scene)


def test_a_toolbox_that_was_never_used_starts_nothing(place: Place) -> None:
    before = psutil.Process().children()

    async def scene(toolbox: Toolbox) -> None:
        await toolbox.call(FIRST, function("update_plan", plan=[]))
        await toolbox.call(FIRST, function("apply_patch", input=PATCH.format(path="new.txt")))
        toolbox.kill_all()
        assert psutil.Process().children() == before

    place.play(place.toolbox(), scene)

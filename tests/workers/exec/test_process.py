"""A command ends when it should, takes its whole group with it, and never holds up or floods its conversation."""

import asyncio
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from greenroom.workers.exec import command_run, starter
from greenroom.workers.exec.command import CommandSpec
from greenroom.workers.exec.pipes import READ_SIZE
from greenroom.workers.exec.process import Finished, OnOutput, run_to_end, signal_name
from greenroom.workers.exec.process_groups import ProcessGroups
from greenroom.workers.exec.starter import GroupStarter

pytestmark = pytest.mark.processes

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
FOREVER = "1000"


class Output:
    """What was reported, in order, and a way to wait for it."""

    def __init__(self) -> None:
        self.pieces: list[tuple[str, bytes]] = []
        self.began = asyncio.Event()

    def __call__(self, name: str, chunk: bytes) -> None:
        self.pieces.append((name, chunk))
        self.began.set()

    @property
    def text(self) -> str:
        return b"".join(chunk for _, chunk in self.pieces).decode()


@pytest.fixture
def groups() -> Iterator[ProcessGroups]:
    live = ProcessGroups()
    yield live
    live.kill_all()


def command(*argv: str, timeout: float = 30, cwd: str = "/", environment: dict[str, str] | None = None) -> CommandSpec:
    return CommandSpec(argv, cwd, ENVIRONMENT if environment is None else environment, timeout)


def sh(script: str, timeout: float = 30) -> CommandSpec:
    return command("sh", "-c", script, timeout=timeout)


def ignore(name: str, chunk: bytes) -> None:
    """Take output and do nothing with it."""


def finish(what: CommandSpec, groups: ProcessGroups, on_output: OnOutput = ignore) -> Finished:
    return asyncio.run(run_to_end(what, on_output, GroupStarter(groups)))


def text(finished: Finished) -> str:
    return (finished.stdout.head + finished.stdout.tail).decode()


def runs(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def wait_until(holds: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


def wait_until_dead(*pids: int) -> None:
    wait_until(lambda: not any(runs(pid) for pid in pids))


# What a command is given, and what it gives


def test_output_and_exit_code_come_back(groups: ProcessGroups) -> None:
    finished = finish(sh("echo out; echo err >&2; exit 3"), groups)
    assert (finished.stdout.head, finished.stderr.head, finished.exit_code) == (b"out\n", b"err\n", 3)
    assert (finished.signal, finished.timed_out, finished.spawn_error) == (None, False, None)
    assert 0 < finished.duration < 10


def test_every_read_is_reported_once_in_order(groups: ProcessGroups) -> None:
    reported: list[tuple[str, bytes]] = []
    finished = finish(
        sh("head -c 30000 /dev/zero; echo x >&2"), groups, lambda name, chunk: reported.append((name, chunk))
    )
    assert max(len(chunk) for _, chunk in reported) <= READ_SIZE
    assert b"".join(chunk for name, chunk in reported if name == "stdout") == bytes(30000)
    assert b"".join(chunk for name, chunk in reported if name == "stderr") == b"x\n"
    assert finished.aggregated.head + finished.aggregated.tail == b"".join(chunk for _, chunk in reported)


def test_the_environment_is_the_one_given_and_nothing_more(groups: ProcessGroups) -> None:
    assert text(finish(command("/usr/bin/env", environment={"A": "b c"}), groups)) == "A=b c\n"


def test_the_program_is_looked_up_in_the_path_of_the_command(groups: ProcessGroups, tmp_path: Path) -> None:
    program = tmp_path / "greet"
    program.write_text("#!/bin/sh\necho hello\n")
    program.chmod(0o755)
    assert text(finish(command("greet", environment={"PATH": str(tmp_path)}), groups)) == "hello\n"
    assert finish(command("greet"), groups).spawn_error == "cannot run greet: No such file or directory"


def test_the_command_works_in_its_directory_with_nothing_on_standard_input(
    groups: ProcessGroups, tmp_path: Path
) -> None:
    assert text(finish(command("pwd", cwd=str(tmp_path)), groups)) == f"{tmp_path}\n"
    assert text(finish(command("cat"), groups)) == ""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_command_leads_a_session_of_its_own_and_inherits_no_descriptor(
    groups: ProcessGroups, tmp_path: Path
) -> None:
    with (tmp_path / "secret").open("w") as secret:
        os.set_inheritable(secret.fileno(), True)
        pid, _, _, _, group, session = text(finish(command("cat", "/proc/self/stat"), groups)).split()[:6]
        assert pid == group == session
        assert text(finish(sh("ls /proc/$$/fd"), groups)).split() == ["0", "1", "2"]


def test_death_by_a_signal_is_told(groups: ProcessGroups) -> None:
    finished = finish(sh("kill -TERM $$"), groups)
    assert (finished.exit_code, finished.signal, finished.timed_out) == (None, signal.SIGTERM, False)
    assert signal_name(signal.SIGTERM) == "SIGTERM"
    assert signal_name(1234) == "signal 1234"


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        (command(), "command args are empty"),
        (command("no-such-program"), "cannot run no-such-program: No such file or directory"),
        (command("/etc/passwd"), "cannot run /etc/passwd: Permission denied"),
        (command("true", cwd="/no/such/place"), "cannot enter the directory /no/such/place: No such file or directory"),
        (command("true", cwd="/etc/passwd"), "cannot enter the directory /etc/passwd: Not a directory"),
        (command("true", "a\0b"), "embedded null byte"),
        (command("true", environment={"A=B": "c"}), "illegal environment variable name"),
        (command("true", "x" * 3_000_000), "cannot run true: Argument list too long"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_started_is_told_and_not_raised(what: CommandSpec, reason: str, groups: ProcessGroups) -> None:
    before = psutil.Process().num_fds()
    finished = finish(what, groups)
    assert (finished.spawn_error, finished.exit_code, finished.stdout.length) == (reason, None, 0)
    assert psutil.Process().num_fds() == before


# When it ends


def test_a_timeout_kills_the_whole_group(groups: ProcessGroups) -> None:
    finished = finish(sh(f"sleep {FOREVER} & echo $$ $!; sleep {FOREVER}", timeout=1), groups)
    assert (finished.timed_out, finished.exit_code, finished.signal) == (True, None, signal.SIGKILL)
    wait_until_dead(*map(int, text(finished).split()))


def test_a_timeout_does_not_wait_for_a_descendant_in_another_session(groups: ProcessGroups) -> None:
    finished = finish(sh(f"setsid sleep {FOREVER} & echo $!; wait", timeout=1), groups)
    escaped = int(text(finished))
    try:
        assert finished.timed_out
        assert finished.duration < 5
        assert runs(escaped)
    finally:
        os.kill(escaped, signal.SIGKILL)
        wait_until_dead(escaped)


def test_a_command_that_ends_is_not_kept_waiting_by_its_background_processes(groups: ProcessGroups) -> None:
    finished = finish(sh(f"sleep {FOREVER} & echo $!"), groups)
    left = int(text(finished))
    assert finished.exit_code == 0
    assert finished.duration < 5
    assert runs(left)
    assert groups.statistics().left_behind == 1
    groups.kill_all()
    wait_until_dead(left)


def test_background_processes_that_flood_do_not_keep_the_call_either(groups: ProcessGroups) -> None:
    finished = finish(sh("yes & exit 4"), groups)
    assert finished.exit_code == 4
    assert finished.duration < 5


def test_cancellation_kills_the_group(groups: ProcessGroups) -> None:
    async def cancel_when_it_runs() -> list[int]:
        output = Output()
        task = asyncio.create_task(run_to_end(sh(f"sleep {FOREVER} & echo $$ $!; wait"), output, GroupStarter(groups)))
        await output.began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return [int(pid) for pid in output.text.split()]

    leader, member = asyncio.run(cancel_when_it_runs())
    assert not psutil.pid_exists(leader)
    wait_until_dead(member)
    assert groups.statistics().running == 0


def test_an_error_in_taking_output_kills_the_group(groups: ProcessGroups) -> None:
    taken: list[bytes] = []

    def fail(name: str, chunk: bytes) -> None:
        taken.append(chunk)
        raise RuntimeError("no room")

    with pytest.raises(RuntimeError, match="no room"):
        finish(sh(f"echo $$; sleep {FOREVER}"), groups, fail)
    wait_until_dead(int(taken[0]))


def test_a_reader_that_falls_behind_still_gets_all_that_was_written(
    groups: ProcessGroups, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_run, "DRAIN_SECONDS", 0)
    output = Output()

    async def take_slowly(name: str, chunk: bytes) -> None:
        output(name, chunk)
        await asyncio.to_thread(wait_until_dead, int(output.text[:6]))

    finish(sh("printf %06d $$; head -c 50000 /dev/zero"), groups, take_slowly)
    assert len(output.text) == 50006


def test_a_reader_that_stops_holds_up_the_command_and_can_be_cancelled(groups: ProcessGroups) -> None:
    async def hold_and_cancel() -> None:
        reached, never = asyncio.Event(), asyncio.Event()

        async def hold(name: str, chunk: bytes) -> None:
            reached.set()
            await never.wait()

        task = asyncio.create_task(run_to_end(command("yes"), hold, GroupStarter(groups)))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(hold_and_cancel())
    assert groups.statistics().running == 0


def test_a_flood_costs_bounded_memory(groups: ProcessGroups) -> None:
    tracemalloc.start()
    try:
        finished = finish(command("head", "-c", "20000000", "/dev/zero"), groups)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert finished.stdout.length == 20_000_000
    assert peak < 2_000_000


def test_a_flood_leaves_the_loop_to_others(groups: ProcessGroups) -> None:
    async def count_turns_of_the_loop() -> int:
        task = asyncio.create_task(run_to_end(command("yes", timeout=0.2), ignore, GroupStarter(groups)))
        turns = 0
        while not task.done():
            await asyncio.sleep(0)
            turns += 1
        return turns

    assert asyncio.run(count_turns_of_the_loop()) > 100


def test_many_at_once_all_end_and_leave_no_descriptor(groups: ProcessGroups) -> None:
    async def many() -> list[Finished]:
        return await asyncio.gather(
            *(run_to_end(sh(f"echo {number}"), ignore, GroupStarter(groups)) for number in range(50))
        )

    before = psutil.Process().num_fds()
    assert [text(finished) for finished in asyncio.run(many())] == [f"{number}\n" for number in range(50)]
    assert psutil.Process().num_fds() == before
    assert groups.statistics().running == 0


def test_a_command_that_cannot_be_watched_is_not_left_running(
    groups: ProcessGroups, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(pid: int, on_end: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(starter, "watch", refuse)
    before, children = psutil.Process().num_fds(), psutil.Process().children()
    assert finish(sh(f"sleep {FOREVER}"), groups).spawn_error == "cannot run sh: Too many open files"
    assert psutil.Process().num_fds() == before
    assert psutil.Process().children() == children


@pytest.mark.skipif(sys.platform != "linux", reason="only there a process can adopt orphans")
def test_a_process_that_adopts_orphans_forgets_the_groups_that_have_died_out() -> None:
    program = """
import asyncio, os, signal
from greenroom.runtime.process.hardening import adopt_orphans
from greenroom.workers.exec.process_groups import ProcessGroups
from greenroom.workers.exec.starter import GroupStarter
from greenroom.workers.exec.process import CommandSpec, run_to_end

adopt_orphans()
groups, lines = ProcessGroups(), []
environment = {"PATH": "/usr/bin:/bin"}

def sh(script):
    what = CommandSpec(("sh", "-c", script), "/", environment, 30)
    return run_to_end(what, lambda name, chunk: lines.append(chunk), GroupStarter(groups))

async def main():
    await sh("sleep 1000 & echo $!")
    before = groups.statistics().left_behind
    os.kill(int(lines[0]), signal.SIGKILL)
    while groups.statistics().left_behind:
        await sh("true")
    print(before, groups.statistics())

asyncio.run(main())
"""
    told = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, timeout=30, check=True)
    assert told.stdout == "1 GroupStatistics(running=0, left_behind=0)\n"


def test_output_may_be_taken_by_a_coroutine_or_a_function(groups: ProcessGroups) -> None:
    taken: list[bytes] = []

    def sometimes(name: str, chunk: bytes) -> Awaitable[None] | None:
        taken.append(chunk)
        return asyncio.sleep(0) if name == "stderr" else None

    finish(sh("echo a; echo b >&2"), groups, sometimes)
    assert sorted(taken) == [b"a\n", b"b\n"]

"""Promises of the launcher: how commands begin and end, whatever happens to anybody."""

import asyncio
import errno
import os
import pty
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace

import psutil
import pytest

from greenroom.protocol.errors import SandboxUnavailableError
from greenroom.runtime.process.child import reap
from greenroom.workers.sandbox import zygote, zygote_link
from greenroom.workers.sandbox.child import Child
from greenroom.workers.sandbox.confinement import Confinement
from greenroom.workers.sandbox.launcher import Launcher, LauncherStatistics, Loss, start_shared_zygote
from greenroom.workers.sandbox.rules import features
from tests.support import processes
from tests.support.deadline import until
from tests.workers.sandbox.cell import SYSTEM_PATH, TIMEOUT, adopting, wait_for_end

pytestmark = pytest.mark.processes

ENVIRONMENT = {"PATH": SYSTEM_PATH}
SLACK = 5.0
"""Seconds that a busy machine may add to a limit; without the limit it would be for ever."""
LOOKS_ONLY = Confinement(writable=(), protected=(), hidden=(), network=False)
EITHER = pytest.mark.parametrize("confinement", [None, LOOKS_ONLY], ids=["free", "confined"])


@asynccontextmanager
async def launcher() -> AsyncIterator[Launcher]:
    started = Launcher.fork()
    try:
        yield started
    finally:
        await asyncio.wait_for(started.close(), 10)


@contextmanager
def shared_zygote() -> Iterator[int]:
    """Share a zygote with the launchers that are made inside; it lasts as long as they do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("greenroom.workers.sandbox.zygote_link._shared", None)
        yield start_shared_zygote()
        zygote_link.leave_zygote()


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    try:
        yield reader, writer
    finally:
        os.close(reader)
        os.close(writer)


def all_of_terminal(ours: int) -> bytes:
    """Read a terminal whose other end is closed everywhere."""
    output = b""
    while True:
        try:
            output += os.read(ours, 1000)
        except OSError:
            return output


def zygote_of(launcher: Launcher) -> int:
    pid = launcher.zygote.pid
    assert pid is not None
    return pid


def run(test: Callable[[Launcher, int, int], Awaitable[None]]) -> None:
    """Run a test with a launcher and a pipe for output."""

    async def whole() -> None:
        async with launcher() as started:
            with pipe() as (reader, writer):
                await asyncio.wait_for(test(started, reader, writer), 20)

    asyncio.run(whole())


@EITHER
def test_status_and_output_of_a_command_are_told(confinement: Confinement | None) -> None:
    async def test(launcher: Launcher, reader: int, writer: int) -> None:
        child = await launcher.spawn(
            ["sh", "-c", "echo out; echo $WORD >&2; exit 7"],
            "/",
            {**ENVIRONMENT, "WORD": "err"},
            stdout=writer,
            stderr=writer,
            confinement=confinement,
        )
        ending = await child.wait()
        assert (ending.pid, ending.returncode) == (child.pid, 7)
        assert ending.max_rss > 100_000
        assert os.read(reader, 100) == b"out\nerr\n"
        await child.wait_gone()
        assert child.is_gone
        assert launcher.statistics() == LauncherStatistics(running=0, left_behind=0, started=1)

    run(test)


@EITHER
@pytest.mark.parametrize(
    ("argv", "cwd", "number", "filename"),
    [
        (["no-such-program-here"], "/", errno.ENOENT, "no-such-program-here"),
        (["/no/such/program"], "/", errno.ENOENT, "/no/such/program"),
        (["/etc/passwd"], "/", errno.EACCES, "/etc/passwd"),
        (["true"], "/no/such/directory", errno.ENOENT, "/no/such/directory"),
        (["true"], "/etc/passwd", errno.ENOTDIR, "/etc/passwd"),
    ],
)
def test_reason_for_not_starting_is_told(
    confinement: Confinement | None, argv: list[str], cwd: str, number: int, filename: str
) -> None:
    async def test(launcher: Launcher, reader: int, writer: int) -> None:
        with pytest.raises(OSError) as raised:  # noqa: PT011 # what matters is the number
            await launcher.spawn(argv, cwd, ENVIRONMENT, stdout=writer, stderr=writer, confinement=confinement)
        assert (raised.value.errno, raised.value.filename) == (number, filename)

    run(test)


def test_program_is_looked_up_in_the_path_of_the_command(tmp_path: os.PathLike[str]) -> None:
    program = os.path.join(tmp_path, "greet")
    with open(program, "w") as file:
        file.write("#!/bin/sh\necho hello\n")
    os.chmod(program, 0o755)

    async def test(launcher: Launcher, reader: int, writer: int) -> None:
        child = await launcher.spawn(["greet"], "/", {"PATH": str(tmp_path)}, stdout=writer, stderr=writer)
        await child.wait()
        assert os.read(reader, 100) == b"hello\n"

    run(test)


def test_long_arguments_and_odd_bytes_arrive_whole() -> None:
    word = "x" * 100_000
    odd = b"\xff\xfe".decode(errors="surrogateescape")

    async def test(launcher: Launcher, reader: int, writer: int) -> None:
        environment = {**ENVIRONMENT, **{f"V{number}": word for number in range(8)}, "ODD": odd}
        script = 'test "$V7" = "$1" && printf "$ODD"'
        child = await launcher.spawn(["sh", "-c", script, "-", word], "/", environment, stdout=writer, stderr=writer)
        assert (await child.wait()).returncode == 0
        assert os.read(reader, 100) == b"\xff\xfe"

    run(test)


def test_signal_reaches_the_group_and_kill_everything() -> None:
    async def test(launcher: Launcher, reader: int, writer: int) -> None:
        child = await launcher.spawn(["sleep", "60"], "/", ENVIRONMENT, stdout=writer, stderr=writer)
        child.send(signal.SIGINT)
        assert (await child.wait()).returncode == -signal.SIGINT
        child = await launcher.spawn(
            ["sh", "-c", "trap '' TERM; setsid sleep 60 & echo ready; wait"],
            "/",
            ENVIRONMENT,
            stdout=writer,
            stderr=writer,
        )
        await asyncio.to_thread(os.read, reader, 10)
        child.send(signal.SIGTERM)
        child.kill()
        assert (await child.wait()).returncode == -signal.SIGKILL
        await child.wait_gone()
        child.send(signal.SIGTERM)
        child.kill()

    run(test)


def test_what_a_command_leaves_running_is_known_and_ends_with_the_launcher() -> None:
    pids: list[int] = []

    async def test(launcher: Launcher, reader: int, writer: int) -> None:
        child = await launcher.spawn(
            ["sh", "-c", "setsid sleep 60 & echo $!"], "/", ENVIRONMENT, stdout=writer, stderr=writer
        )
        assert (await child.wait()).returncode == 0
        pids.append(int(os.read(reader, 10)))
        assert launcher.statistics() == LauncherStatistics(running=0, left_behind=1, started=1)
        os.kill(pids[0], 0)

    run(test)
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_many_commands_run_at_once() -> None:
    async def test(launcher: Launcher, reader: int, writer: int) -> None:
        async def one(number: int) -> int:
            argv = ["sh", "-c", f"exit {number}"]
            child = await launcher.spawn(argv, "/", ENVIRONMENT, stdout=writer, stderr=writer, confinement=LOOKS_ONLY)
            return (await child.wait()).returncode

        assert await asyncio.gather(*map(one, range(60))) == list(range(60))

    run(test)


def test_commands_are_prepared_for_while_they_are_expected() -> None:
    async def test(launcher: Launcher, reader: int, writer: int) -> None:
        launcher.warm()
        for number in range(5):
            child = await launcher.spawn(
                ["sh", "-c", f"exit {number}"], "/", ENVIRONMENT, stdout=writer, stderr=writer, confinement=LOOKS_ONLY
            )
            assert (await child.wait()).returncode == number

    run(test)


def test_monitor_takes_one_command_after_the_other_and_is_replaced_when_it_dies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(zygote, "SOON_MS", 60_000)

    async def test(launcher: Launcher, reader: int, writer: int) -> None:
        async def monitor_of_command() -> int:
            argv = ["sh", "-c", "echo $PPID"]
            child = await launcher.spawn(argv, "/", ENVIRONMENT, stdout=writer, stderr=writer, confinement=LOOKS_ONLY)
            await child.wait_gone()
            return int(os.read(reader, 100))

        first = await monitor_of_command()
        await asyncio.to_thread(until, psutil.Process(first).children)
        assert await monitor_of_command() == first
        await asyncio.to_thread(until, psutil.Process(first).children)
        monitor = os.pidfd_open(first)
        os.kill(first, signal.SIGKILL)
        await asyncio.to_thread(wait_for_end, monitor)
        os.close(monitor)
        assert await monitor_of_command() != first

    run(test)


def test_the_name_of_a_monitor_tells_whose_command_it_has() -> None:
    async def test(launcher: Launcher, reader: int, writer: int) -> None:
        child = await launcher.spawn(["sleep", "600"], "/", ENVIRONMENT, stdout=writer, stderr=writer)
        monitor = psutil.Process(child.monitor)
        assert monitor.name() == f"gr-mon {os.getpid()}"
        child.kill()
        await child.wait_gone()
        await asyncio.to_thread(until, lambda: processes.name_of(monitor) in ("gr-monitor", ""))

    run(test)


def test_monitor_that_comes_back_does_not_hold_what_its_command_wrote_to() -> None:
    async def test(launcher: Launcher, reader: int, writer: int) -> None:
        theirs, ours = os.pipe()
        child = await launcher.spawn(["true"], "/", ENVIRONMENT, stdout=ours, stderr=writer, confinement=LOOKS_ONLY)
        os.close(ours)
        await child.wait_gone()
        assert await asyncio.to_thread(os.read, theirs, 1) == b""
        os.close(theirs)

    run(test)


def test_one_zygote_serves_many_workers_until_the_last_is_gone() -> None:
    with shared_zygote() as pid:
        workers = [Launcher.attach() for _ in range(5)]

    async def whole() -> None:
        with pipe() as (_, writer):

            async def start(worker: Launcher, *argv: str) -> Child:
                return await worker.spawn(argv, "/", ENVIRONMENT, stdout=writer, stderr=writer, confinement=LOOKS_ONLY)

            left = [await start(worker, "sleep", "60") for worker in workers]
            await workers[0].close()
            assert left[0].is_gone
            assert not any(child.has_ended for child in left[1:])
            child = await start(workers[1], "sh", "-c", "exit 3")
            assert (await child.wait()).returncode == 3
            for worker in workers[1:]:
                await worker.close()

    asyncio.run(whole())
    assert reap(pid).returncode == 0


def test_without_the_shared_zygote_a_launcher_goes_on_with_one_of_its_own() -> None:
    async def whole() -> None:
        with shared_zygote() as pid:
            launcher = Launcher.attach()
        os.kill(pid, signal.SIGKILL)
        assert reap(pid).returncode == -signal.SIGKILL
        with pipe() as (_, writer):
            for _ in range(2):
                child = await launcher.spawn(["true"], "/", ENVIRONMENT, stdout=writer, stderr=writer)
                assert (await child.wait()).returncode == 0
        await launcher.close()

    asyncio.run(whole())


def test_zygote_of_many_stays_small() -> None:
    heavy = ("asyncio", "pydantic", "config", "zmq", "tree_sitter")
    statement = f"import sys, greenroom.workers.sandbox.zygote; sys.exit(any(name in sys.modules for name in {heavy}))"
    assert subprocess.run([sys.executable, "-I", "-c", statement], check=False).returncode == 0


def test_nothing_is_kept_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zygote, "IDLE_SECONDS", 0.01)

    async def test(launcher: Launcher, reader: int, writer: int) -> None:
        child = await launcher.spawn(["true"], "/", ENVIRONMENT, stdout=writer, stderr=writer)
        await child.wait_gone()
        kept = psutil.Process(zygote_of(launcher)).children(recursive=True)
        _, alive = await asyncio.to_thread(psutil.wait_procs, kept, timeout=10)
        assert alive == []

    run(test)


def test_commands_wait_while_the_zygote_is_busy() -> None:
    async def test(launcher: Launcher, reader: int, writer: int) -> None:
        launcher._present_zygote()._channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)

        async def one() -> int:
            child = await launcher.spawn(["true"], "/", ENVIRONMENT, stdout=writer, stderr=writer)
            return (await child.wait()).returncode

        os.kill(zygote_of(launcher), signal.SIGSTOP)
        try:
            starts = [asyncio.create_task(one()) for _ in range(40)]
            for _ in range(10):
                await asyncio.sleep(0)
            assert launcher._sending.locked()
        finally:
            os.kill(zygote_of(launcher), signal.SIGCONT)
        assert await asyncio.gather(*starts) == [0] * 40

    run(test)


def test_cancelled_start_leaves_nothing() -> None:
    async def whole() -> None:
        async with launcher() as started:
            reader, writer = os.pipe()
            for passes in range(8):
                start = asyncio.create_task(
                    started.spawn(["sleep", "60"], "/", ENVIRONMENT, stdout=writer, stderr=writer)
                )
                for _ in range(passes):
                    await asyncio.sleep(0)
                start.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await start
            os.close(writer)
            end_of_file = await asyncio.wait_for(asyncio.to_thread(os.read, reader, 1), 10)
            assert end_of_file == b""  # the other end is closed everywhere
            os.close(reader)

    asyncio.run(whole())


def test_terminal_controls_its_command() -> None:
    async def test(launcher: Launcher, reader: int, writer: int) -> None:
        ours, theirs = pty.openpty()
        script = "test -t 0 && echo yes > /dev/tty && ps -o tty= -p $$ | grep -c pts && read word && echo got $word"
        child = await launcher.spawn(
            ["sh", "-c", script],
            "/",
            ENVIRONMENT,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            terminal=True,
            confinement=LOOKS_ONLY,
        )
        os.close(theirs)
        os.write(ours, b"word\n")
        ending = await child.wait()
        assert b"got word" in all_of_terminal(ours)
        assert ending.returncode == 0
        os.close(ours)

    run(test)


def test_a_zygote_that_is_killed_has_a_successor_and_what_runs_runs_on() -> None:
    async def test(launcher: Launcher, reader: int, writer: int) -> None:
        losses: list[Loss] = []
        launcher.on_loss = losses.append
        running = await launcher.spawn(
            ["sh", "-c", "read word; exit 5"], "/", ENVIRONMENT, stdin=reader, stdout=2, stderr=2
        )
        for restarts in range(1, 4):
            former = zygote_of(launcher)
            pidfd = os.pidfd_open(former)
            os.kill(former, signal.SIGKILL)
            await asyncio.to_thread(wait_for_end, pidfd)
            os.close(pidfd)
            child = await launcher.spawn(["true"], "/", ENVIRONMENT, stdout=writer, stderr=writer)
            assert (await child.wait()).returncode == 0
            assert zygote_of(launcher) != former
            assert launcher.zygote.restarts == restarts
            while len(losses) < restarts:
                await asyncio.sleep(0)
            assert (losses[-1].pid, losses[-1].returncode) == (former, -signal.SIGKILL)
        os.write(writer, b"word\n")
        assert (await running.wait()).returncode == 5
        await running.wait_gone()

    with adopting():
        run(test)


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Keep a process stopped; it may be killed meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


async def spare_pair(launcher: Launcher) -> tuple[int, int]:
    """Return the monitor that waits for the next command, and its preforked child."""
    launcher.warm()
    while True:
        with suppress(psutil.NoSuchProcess):  # what probes the kernel comes and goes
            for monitor in processes.named(psutil.Process(zygote_of(launcher)).children(), "gr-monitor"):
                for child in monitor.children():
                    return monitor.pid, child.pid
        await asyncio.sleep(0)


def test_a_zygote_that_hangs_is_killed_and_the_command_runs_once() -> None:
    async def test(launcher: Launcher, reader: int, writer: int) -> None:
        losses: list[Loss] = []
        launcher.on_loss = losses.append
        child = await launcher.spawn(["true"], "/", ENVIRONMENT, stdout=writer, stderr=writer)
        await child.wait_gone()
        former = zygote_of(launcher)
        with stopped(former):
            begun_at = time.monotonic()
            child = await launcher.spawn(["echo", "x"], "/", ENVIRONMENT, stdout=writer, stderr=writer, limit=1.0)
            assert time.monotonic() - begun_at < 1.0 + SLACK
            await child.wait_gone()
        assert [(loss.role, loss.pid) for loss in losses] == [("zygote", former)]
        assert losses[0].cause is not None
        assert os.read(reader, 100) == b"x\n"

    with adopting():
        run(test)


@pytest.mark.parametrize("who", ["monitor", "preforked", "both"])
@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_a_pair_that_waits_and_is_lost_costs_no_command(who: str, number: signal.Signals) -> None:
    async def test(launcher: Launcher, reader: int, writer: int) -> None:
        monitor, preforked = await spare_pair(launcher)
        for pid in {"monitor": [monitor], "preforked": [preforked], "both": [preforked, monitor]}[who]:
            os.kill(pid, number)
        begun_at = time.monotonic()
        child = await launcher.spawn(["echo", "x"], "/", ENVIRONMENT, stdout=writer, stderr=writer, limit=1.0)
        ending = await asyncio.wait_for(child.wait(), TIMEOUT)
        assert time.monotonic() - begun_at < 1.0 + SLACK
        os.write(writer, b".")
        output = os.read(reader, 100)
        assert output.count(b"x") <= 1, "no command begins twice"
        if output == b".":  # it was killed, and that is what is told
            assert ending.returncode != 0
        child = await launcher.spawn(["true"], "/", ENVIRONMENT, stdout=writer, stderr=writer)
        assert (await child.wait()).returncode == 0
        assert not psutil.pid_exists(monitor) or number == signal.SIGKILL or who == "preforked"

    with adopting():
        run(test)


def test_a_command_whose_monitor_hangs_is_killed_in_time_with_all_that_it_started() -> None:
    async def test(launcher: Launcher, reader: int, writer: int) -> None:
        losses: list[Loss] = []
        launcher.on_loss = losses.append
        child = await launcher.spawn(
            ["sh", "-c", "setsid sleep 600 & echo $!; wait"], "/", ENVIRONMENT, stdout=writer, stderr=writer
        )
        left = os.pidfd_open(int(await asyncio.to_thread(os.read, reader, 100)))
        with stopped(psutil.Process(child.pid).ppid()):
            child.kill()
            begun_at = time.monotonic()
            assert (await child.wait()).returncode == -signal.SIGKILL
            assert time.monotonic() - begun_at < SLACK
        await asyncio.to_thread(wait_for_end, left)
        os.close(left)

    with adopting():
        run(test)


def test_a_command_that_was_withdrawn_never_begins() -> None:
    """The zygote is only stopped for a while, and not killed: it finds the command later."""

    async def whole() -> None:
        with shared_zygote() as pid:
            launcher = Launcher.attach()
            with pipe() as (reader, writer):
                with stopped(pid):
                    child = await launcher.spawn(
                        ["echo", "x"], "/", ENVIRONMENT, stdout=writer, stderr=writer, limit=0.5
                    )
                    await child.wait_gone()
                    assert not launcher.zygote.is_shared, "it goes on with one of its own"
                while launcher._suspects and not all(one.is_gone for one in launcher._suspects.values()):
                    await asyncio.sleep(0.01)  # the shared one has taken the command, and does nothing with it
                assert os.read(reader, 100) == b"x\n"
            await launcher.close()
        assert reap(pid).returncode == 0, "nobody has killed it"

    with adopting():
        asyncio.run(whole())


def test_command_ends_with_its_monitor() -> None:
    async def test(launcher: Launcher, reader: int, writer: int) -> None:
        child = await launcher.spawn(["sleep", "60"], "/", ENVIRONMENT, stdout=writer, stderr=writer)
        monitor = psutil.Process(child.pid).ppid()
        command = os.pidfd_open(child.pid)
        os.kill(monitor, signal.SIGKILL)
        assert (await child.wait()).returncode == -signal.SIGKILL
        await child.wait_gone()
        await asyncio.to_thread(wait_for_end, command)
        os.close(command)

    run(test)


def test_without_landlock_nothing_runs_confined(monkeypatch: pytest.MonkeyPatch) -> None:
    without = replace(features.probe(), landlock_abi=0)
    monkeypatch.setattr(features, "probe", lambda: without)

    async def test(launcher: Launcher, reader: int, writer: int) -> None:
        with pytest.raises(SandboxUnavailableError, match=r"missing Landlock 3 \(Linux 6.2; this kernel offers none\)"):
            await launcher.spawn(["true"], "/", ENVIRONMENT, stdout=writer, stderr=writer, confinement=LOOKS_ONLY)
        child = await launcher.spawn(["true"], "/", ENVIRONMENT, stdout=writer, stderr=writer)
        assert (await child.wait()).returncode == 0

    run(test)


def test_empty_command_is_refused() -> None:
    async def test(launcher: Launcher, reader: int, writer: int) -> None:
        with pytest.raises(ValueError, match="command args are empty"):
            await launcher.spawn([], "/", ENVIRONMENT, stdout=writer, stderr=writer)

    run(test)

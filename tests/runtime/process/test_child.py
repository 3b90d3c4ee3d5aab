"""The end of a child is known from the kernel, with how it ended."""

import asyncio
import os
import signal
import subprocess

import pytest

from greenroom.runtime.process import child
from greenroom.runtime.process.spawn import spawn
from tests.support.loop import on_loop


async def ending_of(pid: int) -> child.ChildExit:
    """Wait for the end of our child as processes of ours do."""
    future: asyncio.Future[child.ChildExit] = asyncio.get_running_loop().create_future()
    child.watch(pid, future.set_result)
    return await future


@on_loop
async def test_an_exit_status_is_told() -> None:
    process = subprocess.Popen(["sh", "-c", "exit 7"])
    ending = await ending_of(process.pid)
    assert (ending.pid, ending.returncode) == (process.pid, 7)
    assert ending.max_rss > 100_000
    process.returncode = ending.returncode


@on_loop
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
async def test_a_signal_is_told_as_a_negative_number(number: signal.Signals) -> None:
    process = subprocess.Popen(["sleep", "600"])
    process.send_signal(number)
    process.returncode = (await ending_of(process.pid)).returncode
    assert process.returncode == -number


@on_loop
async def test_a_child_that_ended_long_ago_is_told_too() -> None:
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    process.returncode = (await ending_of(process.pid)).returncode
    assert process.returncode == 0


@on_loop
async def test_a_watched_child_is_reaped_and_its_descriptor_closed() -> None:
    before = os.listdir("/proc/self/fd")
    process = subprocess.Popen(["true"])
    process.returncode = (await ending_of(process.pid)).returncode
    with pytest.raises(ChildProcessError):
        os.waitpid(process.pid, 0)
    assert len(os.listdir("/proc/self/fd")) <= len(before)


@on_loop
async def test_a_spawned_program_has_what_it_was_given_and_nothing_else() -> None:
    reader, writer = os.pipe()
    secret_reader, secret_writer = os.pipe()
    statement = (
        "import os, sys; "
        "os.write(7, repr((sorted(os.environ), sys.flags.isolated, os.getsid(0) == os.getpid(), os.read(0, 1), "
        "os.fstat(1).st_ino == os.fstat(2).st_ino, sorted(map(int, os.listdir('/proc/self/fd')))[:5])).encode())"
    )
    pid = spawn(statement, {"GIVEN": "1", "PYTHONPATH": "/nowhere"}, {7: writer})
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        told = eval(pipe.read())
    assert (await ending_of(pid)).returncode == 0
    names, isolated, leads_session, input_read, output_is_error, descriptors = told
    assert set(names) <= {"GIVEN", "PYTHONPATH", "LC_CTYPE"}
    assert isolated == 1
    assert leads_session
    assert input_read == b""
    assert output_is_error
    assert descriptors[:3] == [0, 1, 2]
    assert descriptors[3] in (3, 7), "ours are not inherited"
    os.close(secret_reader)
    os.close(secret_writer)


def test_a_process_has_ended_though_nobody_has_reaped_it() -> None:
    process = subprocess.Popen(["sleep", "600"])
    assert not child.has_ended(process.pid)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert child.has_ended(process.pid), "it is a zombie"
    process.wait()
    assert child.has_ended(process.pid)

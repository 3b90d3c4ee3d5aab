"""Processes: what a confined command cannot do to Greenroom's, and that none of its own remains."""

import os
import signal

import psutil
import pytest

from tests.workers.sandbox.cell import Cell, Mode, adopting, cell, wait_for_end

pytestmark = pytest.mark.processes

CONFINED: list[Mode] = ["read-only", "workspace-write", "online"]

DAEMON = """
reading, writing = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.setpgid(0, 0)
        for number in range(1, 65):
            try: signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError): pass
        print(os.readlink("/proc/self"), flush=True)
        for descriptor in (0, 1, 2, reading, writing):
            os.close(descriptor)
        signal.pause()
        while True: signal.pause()
    os._exit(0)
os.wait()
os.close(writing)
os.read(reading, 1)  # until the daemon has said who it is
"""


@pytest.mark.parametrize("mode", CONFINED)
def test_our_processes_cannot_be_looked_into(inside: Cell, mode: Mode) -> None:
    tries = (
        "open('/proc/{pid}/environ').read()",
        "open('/proc/{pid}/mem', 'rb')",
        "open('/proc/{pid}/maps').read()",
        "os.readlink('/proc/{pid}/fd/0')",
        "open('/proc/{pid}/fd/0')",
        "os.readlink('/proc/{pid}/cwd')",
        "os.listdir('/proc/{pid}/root')",
        "os.listdir('/proc/{pid}/map_files')",
    )
    refused = inside.attempt(*(action.format(pid=inside.pid) for action in tries), mode=mode).refused
    assert len(refused) == len(tries)
    assert set(refused) <= {"EACCES", "EPERM"}


@pytest.mark.parametrize("mode", CONFINED)
def test_descriptors_of_our_processes_cannot_be_taken(inside: Cell, mode: Mode) -> None:
    script = f"pidfd = os.pidfd_open({inside.pid})\nattempt(lambda: raw(438, pidfd, 0, 0))"
    assert inside.python(script, mode).refused == ["EPERM"]


@pytest.mark.parametrize("mode", CONFINED)
def test_our_processes_cannot_be_traced_or_limited(inside: Cell, mode: Mode) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("the numbers are those of x86_64")
    tries = (
        f"raw(101, 16, {inside.pid}, 0, 0)",  # ptrace, attach
        f"raw(101, 0x4206, {inside.pid}, 0, 0)",  # ptrace, seize
        f"raw(310, {inside.pid}, 0, 0, 0, 0, 0)",  # process_vm_readv
        f"raw(311, {inside.pid}, 0, 0, 0, 0, 0)",  # process_vm_writev
        f"raw(312, {inside.pid}, {inside.pid}, 0, 0, 0)",  # kcmp
        f"__import__('resource').prlimit({inside.pid}, 7, (1, 1))",
    )
    assert set(inside.attempt(*tries, mode=mode).refused) == {"EPERM"}


@pytest.mark.parametrize("mode", CONFINED)
def test_our_processes_cannot_be_signalled(inside: Cell, mode: Mode) -> None:
    tries = (
        *(f"os.kill({inside.pid}, {number})" for number in (0, signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP)),
        f"os.killpg(os.getpgid({inside.pid}), 9)",
        f"signal.pidfd_send_signal(os.pidfd_open({inside.pid}), 9)",
        "os.kill(os.getppid(), 9)",
    )
    assert set(inside.attempt(*tries, mode=mode).refused) <= {"EPERM", "EACCES"}
    assert inside.run("true").returncode == 0


@pytest.mark.parametrize("mode", CONFINED)
def test_own_children_can_be_signalled(inside: Cell, mode: Mode) -> None:
    assert inside.shell("sleep 60 & kill -9 $!; wait $!; echo $?", mode).output.splitlines()[-1] == "137"


@pytest.mark.parametrize("mode", CONFINED)
def test_command_starts_clean(inside: Cell, mode: Mode) -> None:
    script = """
print(sorted(os.listdir("/proc/self/fd"))[:4], os.readlink("/proc/self/fd/0"))
print(dict(os.environ).keys() - {"LC_CTYPE", "PWD", "SHLVL", "_"} == {"PATH", "HOME"})
print(os.getsid(0) == os.getpid() == os.getpgid(0) or os.readlink("/proc/self"))
print([line for line in open("/proc/self/status") if line.startswith(("NoNewPrivs", "SigIgn", "SigBlk", "Seccomp:"))])
"""
    descriptors, environment, session, status = inside.python(script, mode).output.splitlines()
    assert descriptors == "['0', '1', '2', '3'] /dev/null"
    assert environment == session == "True"
    assert "NoNewPrivs:\\t1" in status
    assert "Seccomp:\\t2" in status
    assert "SigBlk:\\t0000000000000000" in status


@pytest.mark.parametrize("mode", [*CONFINED, "free"])
def test_daemon_ends_when_its_command_is_killed(inside: Cell, mode: Mode) -> None:
    pid = int(inside.python(DAEMON, mode).output)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("mode", [*CONFINED, "free"])
def test_daemon_ends_when_its_worker_is_killed(mode: Mode) -> None:
    with adopting(), cell("user") as dying:
        pid = int(dying.python(DAEMON, mode, stay=True).output)
        daemon = os.pidfd_open(pid)
        os.kill(dying.pid, signal.SIGKILL)
        wait_for_end(daemon)
        os.close(daemon)


def test_number_of_processes_and_threads_is_bounded(user: Cell) -> None:
    script = """
import threading
threading.stack_size(65536)
never = threading.Event()
try:
    for number in range(5000):
        threading.Thread(target=never.wait, daemon=True).start()
except RuntimeError as error:
    print(error, 4000 < number < 4096, flush=True)
os._exit(0)
"""
    assert user.python(script).output == "can't start new thread True\n"


@pytest.mark.parametrize("mode", ["workspace-write", "free"])
def test_command_that_forks_without_end_is_ended(user: Cell, mode: Mode) -> None:
    script = """
mark = "one of five hundred"
first = os.getpid()
for _ in range(9):
    if os.fork() == 0:
        os.setpgid(0, 0)
if os.getpid() != first:
    while True: signal.pause()
"""
    assert user.python(script, mode).returncode == 0
    commands = [str(process.info["cmdline"]) for process in psutil.process_iter(["cmdline"])]
    assert not [command for command in commands if "one of five hundred" in command]

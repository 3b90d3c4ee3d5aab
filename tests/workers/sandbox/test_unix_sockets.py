"""Promises about Unix sockets with network: a command reaches its own, and none of another program."""

import os
import socket
from collections.abc import Iterator

import pytest

from greenroom.config.tables.sandbox import WorkspaceWritePolicy
from tests.workers.sandbox.cell import PYTHON, Cell, Mode

pytestmark = pytest.mark.processes


@pytest.fixture
def directory(inside: Cell) -> str:
    """A directory in which a command may create something, with and without namespaces."""
    path = f"{inside.place.cwd}/run"
    os.makedirs(path, exist_ok=True)
    os.chown(path, inside.place.user, inside.place.user)
    return path


OWN = """
import os, socket, subprocess, sys, threading
kind = socket.{kind}
server = socket.socket(socket.AF_UNIX, kind)
server.bind({path!r}); server.listen()
child = subprocess.Popen([sys.executable, '-c', '''
import socket
client = socket.socket(socket.AF_UNIX, socket.{kind})
client.connect({path!r})
client.sendall(b"asks")
print(client.recv(9))
'''])
peer, _ = server.accept()
print(peer.recv(9)); sys.stdout.flush()
peer.sendall(b"gets")
print(child.wait())
os.unlink({path!r})
"""


@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_SEQPACKET"])
@pytest.mark.parametrize("path", ["run/own.sock", "./run/own.sock", "{cwd}/run/own.sock", "{cwd}/../work/run/own.sock"])
def test_processes_of_a_command_reach_each_other(inside: Cell, directory: str, kind: str, path: str) -> None:
    del directory
    result = inside.python(OWN.format(kind=kind, path=path.format(cwd=inside.place.cwd)), "online")
    assert result.output.splitlines() == ["b'asks'", "b'gets'", "0"]


def test_managers_of_multiprocessing_work(inside: Cell, directory: str) -> None:
    inside.place.write(
        f"{inside.place.cwd}/managed.py",
        "import multiprocessing\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.Manager() as manager:\n"
        "        shared = manager.dict(); shared['a'] = 1; print(dict(shared))\n",
    )
    assert inside.shell(f"TMPDIR={directory} {PYTHON} managed.py", "online").output.splitlines() == ["{'a': 1}"]


SERVER = """
import os, socket, sys
if os.fork():
    sys.exit()
os.setsid()
server = socket.socket(socket.AF_UNIX)
server.bind("run/beside.sock"); server.listen(); print("listens", flush=True)
os.close(1); os.close(2)
while True:
    peer, _ = server.accept(); peer.sendall(b"served"); peer.close()
"""
CLIENT = """
import socket
client = socket.socket(socket.AF_UNIX)
attempt(lambda: client.connect("run/beside.sock") or client.recv(9))
"""


@pytest.fixture
def beside(directory: str) -> Iterator[None]:
    """Remove what the server leaves, which ends with its cell."""
    yield
    os.unlink(f"{directory}/beside.sock")


@pytest.mark.usefixtures("beside")
def test_a_command_reaches_what_an_earlier_one_has_left_running(inside: Cell) -> None:
    assert inside.python(SERVER, "online", stay=True).output.startswith("listens")
    assert inside.python(CLIENT, "online").output.splitlines() == ["done b'served'"]


@pytest.mark.usefixtures("beside")
@pytest.mark.parametrize("server", ["free", "wider"])
def test_a_command_does_not_reach_what_runs_under_other_rules(inside: Cell, server: str) -> None:
    policy = (
        WorkspaceWritePolicy(network_access=True, writable_roots=(inside.place.outside,)) if server == "wider" else None
    )
    assert inside.python(SERVER, "free", policy=policy, stay=True).output.startswith("listens")
    assert inside.python(CLIENT, "online").refused == ["EPERM"]


@pytest.fixture
def foreign(inside: Cell) -> Iterator[str]:
    """A socket below a writable root on which a program outside the sandbox listens."""
    path = f"{inside.place.cwd}/foreign.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        os.chmod(path, 0o777)
        server.listen()
        yield path
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()
    os.unlink(path)


def test_sockets_of_other_programs_stay_shut_however_they_are_reached(inside: Cell, foreign: str) -> None:
    os.symlink(inside.socket, f"{inside.place.cwd}/link.sock")
    os.symlink(foreign, f"{inside.place.cwd}/near.sock")
    os.link(foreign, f"{inside.place.cwd}/hard.sock")
    ways: tuple[str, ...] = ("foreign.sock", foreign, "link.sock", "near.sock", "hard.sock", inside.socket)
    tries = [f"socket.socket(socket.AF_UNIX).connect({way!r})" for way in ways]
    tries += [f"socket.socket(socket.AF_UNIX).connect({name!r})" for name in ("\0" + inside.abstract, "\0none")]
    tries += ["socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)", "socket.socket(socket.AF_UNIX, socket.SOCK_RAW)"]
    tries += [f"socket.socket(socket.AF_UNIX).sendto(b'x', {foreign!r})"]
    tries += [f"socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).sendto(b'x', {foreign!r})"]
    refused = inside.attempt(*tries, mode="online").refused
    for name in ("link.sock", "near.sock", "hard.sock"):
        os.unlink(f"{inside.place.cwd}/{name}")
    assert len(refused) == len(tries)
    assert set(refused) <= {"EPERM", "EACCES", "EOPNOTSUPP", "ENOTSUP", "ENOTCONN", "ENOENT"}


RACE = """
import ctypes, threading
mine, theirs = b"run/own.sock", {foreign!r}.encode()
server = socket.socket(socket.AF_UNIX); server.bind(mine); server.listen(4096)
libc = ctypes.CDLL(None, use_errno=True)
address = ctypes.create_string_buffer(110)
def write(path): ctypes.memmove(address, socket.AF_UNIX.to_bytes(2, "little") + path + bytes(108 - len(path)), 110)
over = False
def flicker():
    while not over: write(theirs); write(mine)
other = threading.Thread(target=flicker); other.start()
inet = socket.socket()
for _ in range(100):
    client = socket.socket(socket.AF_UNIX)
    if libc.connect(client.fileno(), address, 110) == 0:
        assert client.getpeername() == "run/own.sock", client.getpeername()
    client.close()
over = True; other.join(); os.unlink(mine); print("held")
"""


def test_an_address_that_changes_during_the_call_leads_nowhere_else(inside: Cell, directory: str, foreign: str) -> None:
    del directory
    assert inside.python(RACE.format(foreign=foreign), "online").output.splitlines() == ["held"]


def test_blocking_and_other_connections_of_the_network_behave_as_ever(inside: Cell) -> None:
    result = inside.python(
        f"""
import errno
print(socket.socket().connect_ex(("127.0.0.1", {inside.tcp})))
print(errno.errorcode[socket.socket().connect_ex(("127.0.0.1", 1))])
late = socket.socket(); late.setblocking(False)
print(late.connect_ex(("127.0.0.1", {inside.tcp})) in (0, errno.EINPROGRESS), late.getblocking())
one = socket.socket(); one.connect(("127.0.0.1", {inside.tcp}))
print(errno.errorcode[one.connect_ex(("127.0.0.1", {inside.tcp}))], one.getblocking())
datagram = socket.socket(type=socket.SOCK_DGRAM)
datagram.connect(("127.0.0.1", {inside.udp}))
print(datagram.send(b"x"))
""",
        "online",
    )
    assert result.output.splitlines() == ["0", "ECONNREFUSED", "True False", "EISCONN True", "1"]


def test_a_socket_that_a_setting_names_is_open_and_no_other(inside: Cell) -> None:
    tries = f"print(socket.socket(socket.AF_UNIX).connect_ex({inside.socket!r}))"
    offline: Mode = "workspace-write"
    assert inside.python(tries, "online", sockets=(inside.socket,)).output.splitlines() == ["0"]
    assert inside.python(tries, "online", sockets=("/nowhere",)).output.splitlines() == ["1"]
    assert inside.attempt("socket.socket(socket.AF_UNIX)", mode=offline, sockets=(inside.socket,)).refused == ["EPERM"]


def test_a_caller_waits_for_a_full_queue_and_is_told_of_an_end(inside: Cell, directory: str) -> None:
    result = inside.python(
        f"""
import threading, time
server = socket.socket(socket.AF_UNIX); server.bind("{directory}/full.sock"); server.listen(0)
first = socket.socket(socket.AF_UNIX); first.connect("{directory}/full.sock")
eager = socket.socket(socket.AF_UNIX); eager.setblocking(False)
print(errno.errorcode[eager.connect_ex("{directory}/full.sock")])
second = socket.socket(socket.AF_UNIX)
waiting = threading.Thread(target=lambda: print(second.connect_ex("{directory}/full.sock")))
waiting.start()
server.accept(); waiting.join()
dead = socket.socket(socket.AF_UNIX); server.close()
print(errno.errorcode[dead.connect_ex("{directory}/full.sock")])
os.unlink("{directory}/full.sock")
""",
        "online",
    )
    assert result.output.splitlines() == ["EAGAIN", "0", "EPERM"], "no one's socket is not the command's"


def test_a_command_that_ends_in_the_middle_of_a_connection_leaves_nothing(inside: Cell, directory: str) -> None:
    script = f"""
server = socket.socket(socket.AF_UNIX); server.bind("{directory}/left.sock"); server.listen(0)
first = socket.socket(socket.AF_UNIX); first.connect("{directory}/left.sock")
told, telling = os.pipe()
if os.fork() == 0:
    os.close(1); os.close(2); os.write(telling, b"x")
    socket.socket(socket.AF_UNIX).connect("{directory}/left.sock")
    os._exit(0)
os.read(told, 1); os.unlink("{directory}/left.sock"); print("leaves")
"""
    for _ in range(3):
        assert inside.python(script, "online").output.splitlines() == ["leaves"]

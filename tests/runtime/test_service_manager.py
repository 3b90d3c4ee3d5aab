"""What a service manager gives is taken once, kept from children, and answered where it wants to hear."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from greenroom.runtime.service_manager import FIRST_SOCKET, ServiceManager


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """The address of a manager, as it is written in the environment, and its socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        name = str(tmp_path / "notify") if request.param == "path" else f"@greenroom-{uuid4()}"
        manager.bind("\0" + name[1:] if name.startswith("@") else name)
        manager.settimeout(5)
        yield name, manager


def test_states_arrive_in_one_datagram(listener: tuple[str, socket.socket]) -> None:
    name, manager = listener
    environment = {"NOTIFY_SOCKET": name, "PATH": "/bin"}
    ServiceManager.take_over(environment).notify("READY=1", "STATUS=Listening")
    assert manager.recv(4096) == b"READY=1\nSTATUS=Listening"
    assert environment == {"PATH": "/bin"}


@pytest.mark.parametrize("name", ["", "/nowhere/at/all", "@greenroom-nobody", "relative"])
def test_a_manager_that_cannot_be_reached_is_none(name: str) -> None:
    ServiceManager.take_over({"NOTIFY_SOCKET": name}).notify("READY=1")


@pytest.mark.parametrize(
    ("variables", "count"),
    [
        ({}, 0),
        ({"LISTEN_FDS": "1"}, 0),
        ({"LISTEN_FDS": "1", "LISTEN_PID": "1"}, 0),
        ({"LISTEN_FDS": "x", "LISTEN_PID": str(os.getpid())}, 0),
        ({"LISTEN_FDS": "-1", "LISTEN_PID": str(os.getpid())}, 0),
        ({"LISTEN_FDS": "0", "LISTEN_PID": str(os.getpid())}, 0),
    ],
)
def test_sockets_for_another_process_or_none_are_left_alone(variables: dict[str, str], count: int) -> None:
    environment = {**variables, "LISTEN_FDNAMES": "a"}
    assert len(ServiceManager.take_over(environment).sockets) == count
    assert environment == {}


_PASSED = """
import os, subprocess
from greenroom.runtime.service_manager import ServiceManager
os.environ["LISTEN_PID"] = str(os.getpid())
manager = ServiceManager.take_over(os.environ)
seen = subprocess.run(["ls", "-l", "/proc/self/fd"], close_fds=False, capture_output=True, text=True).stdout
print(manager.sockets, str(os.fstat(3).st_ino) in seen, "LISTEN_FDS" in os.environ)
"""


def test_passed_sockets_are_taken_and_kept_from_children() -> None:
    with socket.socket(socket.AF_UNIX) as passed:
        number = passed.fileno()
        become = f"import os, sys; os.dup2({number}, {FIRST_SOCKET}); os.set_inheritable({number}, {number} == 3); "
        done = subprocess.run(
            (sys.executable, "-c", become + "os.execv(sys.executable, [sys.executable, '-c', sys.argv[1]])", _PASSED),
            env={**os.environ, "LISTEN_FDS": "1"},
            pass_fds=(number,),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.stdout == f"({FIRST_SOCKET},) False False\n", done.stderr

"""Sockets at paths: nothing that stands there is lost, and each process removes its own alone."""

import contextlib
import os
import socket
import stat
from pathlib import Path

import pytest

from greenroom.protocol.errors import StartError
from greenroom.runtime.sockets.socket_file import identity, open_socket, remove_socket


def test_a_socket_without_a_server_gives_way_and_other_files_do_not(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with open_socket(str(path)) as listening:
        with pytest.raises(StartError, match="another program"):
            open_socket(str(path))
        assert listening.getsockname()
    with open_socket(str(path)):
        assert stat.S_ISSOCK(path.stat().st_mode)
    other = tmp_path / "file"
    other.write_text("x")
    with pytest.raises(StartError, match="in the way"):
        open_socket(str(other))
    with pytest.raises(StartError, match="cannot be opened"):
        open_socket(str(tmp_path / "gone" / "s"))
    assert sorted(os.listdir(tmp_path)) == ["file", "s"]


def test_a_socket_with_a_full_queue_is_in_use(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with open_socket(path) as listening, contextlib.ExitStack() as waiting:
        listening.listen(0)
        for _ in range(3):
            client = waiting.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect(path)
        with pytest.raises(StartError, match="another program"):
            open_socket(path)


def test_the_socket_of_a_successor_is_not_removed(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with open_socket(path):
        own = identity(path)
    with open_socket(path):
        remove_socket(path, own)
        assert os.path.exists(path)
        remove_socket(path, identity(path))
        assert not os.path.exists(path)
        remove_socket(path, None)

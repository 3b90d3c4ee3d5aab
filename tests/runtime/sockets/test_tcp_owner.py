"""Who has connected over TCP, as the tables of Linux tell it."""

import os
import socket
import sys

import pytest

from greenroom.runtime.sockets.tcp_owner import find_owner, owner_of_peer

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")


@linux
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_connection_of_this_process_is_of_its_user(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as listening:
        try:
            listening.bind((address, 0))
        except OSError:
            pytest.skip("no IPv6 here")
        listening.listen()
        with socket.create_connection(listening.getsockname()[:2]) as client:
            accepted, _ = listening.accept()
            with accepted:
                assert owner_of_peer(accepted) == os.getuid()
                assert owner_of_peer(client) == os.getuid()


@pytest.mark.skipif(sys.byteorder != "little", reason="the lines are of such a machine")
def test_the_line_of_the_other_end_is_the_one_that_counts() -> None:
    ours = "   0: 0100007F:2404 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 1 1 0\n"
    theirs = "   1: 0100007F:C350 0100007F:2404 01 00000000:00000000 00:00000000 00000000  1001        0 2 1 0\n"
    lines = [HEAD, ours, theirs]
    assert find_owner(lines, ("127.0.0.1", 50000), ("127.0.0.1", 9220), socket.AF_INET) == 1001
    assert find_owner(lines, ("127.0.0.1", 50001), ("127.0.0.1", 9220), socket.AF_INET) is None
    assert find_owner([HEAD], ("127.0.0.1", 50000), ("127.0.0.1", 9220), socket.AF_INET) is None


def test_of_another_kind_of_socket_nothing_is_told() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert owner_of_peer(one) is None

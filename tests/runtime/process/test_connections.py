"""A process that is about to exit tells its peers first."""

import os
import socket

from greenroom.runtime.process.connections import end_connections


def test_peers_learn_of_the_end_while_the_process_still_lives() -> None:
    near, far = socket.socketpair()
    lifeline, ours = os.pipe()
    pid = os.fork()
    if pid == 0:
        near.close()
        os.close(ours)
        end_connections()
        os.read(lifeline, 1)  # pipes stay
        os._exit(7)
    far.close()
    near.settimeout(20)
    assert near.recv(1) == b"", "it has closed its socket, and lives"
    os.write(ours, b".")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    for descriptor in (lifeline, ours):
        os.close(descriptor)
    near.close()

"""The process of which runs of a script are forked (`tests/support/imported.py`). It needs nothing of the tests."""

import gc
import json
import os
import runpy
import select
import signal
import socket
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import NoReturn

_ORDER = 64
"""Bytes of a message that comes with an order; the order itself is in a file."""


class Runs:
    """The runs of a script, each with the connection of the relay that stands for it."""

    def __init__(self, script: str, listener: socket.socket, tests: socket.socket) -> None:
        self._script, self._listener, self._tests = script, listener, tests
        self._relays: dict[int, socket.socket] = {}
        self._pids: dict[int, int] = {}

    def serve(self) -> None:
        """Fork a run for each order, until the tests end."""
        poll = select.poll()
        for one in (self._listener, self._tests):
            poll.register(one, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == self._tests.fileno():
                    for number in tuple(self._relays):
                        self._end(number)
                    return
                if descriptor == self._listener.fileno():
                    relay = self._listener.accept()[0]
                    self._relays[relay.fileno()] = relay
                    poll.register(relay, select.POLLIN)
                elif not self._obey(descriptor):
                    poll.unregister(descriptor)
                    self._end(descriptor)

    def _obey(self, number: int) -> bool:
        """Carry out an order of a relay; `False` when it has left."""
        relay = self._relays[number]
        message, descriptors, _, _ = socket.recv_fds(relay, _ORDER, 4)
        if not message:
            return False
        file, *streams = descriptors
        with os.fdopen(file, "rb") as text:
            order = json.load(text)
        if "ended" in order:
            answer = os.waitpid(self._pids.pop(number), 0)[1]
        elif (answer := os.fork()) == 0:
            for one in (self._listener, self._tests, *self._relays.values()):
                one.close()
            _become(self._script, order, streams)
        else:
            self._pids[number] = answer
        for stream in streams:
            os.close(stream)
        try:
            relay.send(str(answer).encode())
        except BrokenPipeError:  # it was killed meanwhile
            return False
        return True

    def _end(self, number: int) -> None:
        """End the run of a relay that has left: who kills the one kills the other."""
        self._relays.pop(number).close()
        if (pid := self._pids.pop(number, None)) is not None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _become(script: str, order: Mapping[str, object], streams: Sequence[int]) -> NoReturn:
    """Run the script, with the exit status that the interpreter would have."""
    status = 1
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
        sys.stderr = os.fdopen(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)
        environment, arguments = order["environment"], order["arguments"]
        assert isinstance(environment, dict)
        assert isinstance(arguments, list)
        os.chdir(str(order["cwd"]))
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = [script, *arguments]
        runpy.run_path(script, run_name="__main__")
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _main(script: str, listener: str, tests: str) -> None:
    sys.path[0:0] = [os.path.dirname(script)]
    runpy.run_path(script, run_name="imported")
    gc.collect()
    gc.freeze()
    Runs(script, socket.socket(fileno=int(listener)), socket.socket(fileno=int(tests))).serve()


if __name__ == "__main__":
    _main(*sys.argv[1:])

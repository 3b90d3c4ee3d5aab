"""A script of Python whose imports are made once: each start of it is a fork of a process that has made them.

For scripts over SDKs of other makers, whose import takes most of the time of a short run.
"""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.support import relay

_PROCESS: Final = str(Path(__file__).with_name("imported_process.py"))


class Imported:
    """The process that has imported a script. `close` it, which ends all runs of the script too."""

    def __init__(
        self, script: Path, *, options: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> None:
        """`options`, `environment`: with which the interpreter is started, and so where it finds modules."""
        self._directory = tempfile.TemporaryDirectory(prefix="gr-", dir="/tmp")
        self._address = os.path.join(self._directory.name, "imported")
        self._socket, theirs = socket.socketpair()
        with theirs, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(self._address)
            listener.listen()
            handed_over = (listener.fileno(), theirs.fileno())
            self._process = subprocess.Popen(
                (sys.executable, *options, _PROCESS, str(script), *map(str, handed_over)),
                stdin=subprocess.DEVNULL,
                pass_fds=handed_over,
                env=environment,
            )

    @property
    def command(self) -> tuple[str, ...]:
        """The command that runs the script, with its own streams, variables and directory; arguments may follow.

        A signal that ends it ends the run.
        """
        return (sys.executable, "-IS", relay.__file__, self._address)

    def close(self) -> None:
        self._socket.close()
        self._process.wait()
        self._directory.cleanup()

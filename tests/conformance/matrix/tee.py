"""A program that stands between a client and the program that it starts, and records what both say.

`install` writes a script that clients can start in place of a program. Each run writes a file of its own, a line for
each line that was said, with `>` before those of the client and `<` before those of the program, in an order in which
no answer comes before its question.
"""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

CLIENT, PROGRAM = b">", b"<"
_MODE = 0o755


def install(path: Path, program: str, records: Path) -> None:
    """Write a script that starts a program and records its traffic into files in a directory."""
    records.mkdir()
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -IS "{__file__}" "{records}" "{program}" "$@"\n')
    path.chmod(_MODE)


def recorded(records: Path) -> list[list[tuple[bool, bytes]]]:
    """Return the lines of each run, each with whether it is the client's."""
    return [
        [(line.startswith(CLIENT), line[1:]) for line in file.read_bytes().splitlines()]
        for file in sorted(records.iterdir())
    ]


class _Record:
    """The file of one run."""

    def __init__(self, directory: str) -> None:
        self._file = open(os.path.join(directory, str(os.getpid())), "wb", buffering=0)  # noqa: SIM115
        self._lock = threading.Lock()

    def write(self, lines: bytes, mark: bytes) -> None:
        with self._lock:
            self._file.write(b"".join(mark + line for line in lines.splitlines(keepends=True)))


def _pass_on(source: int, target: int, record: _Record, mark: bytes) -> None:
    """Pass complete lines on, each after it was recorded, until the source ends or the target is gone."""
    rest = b""
    while data := os.read(source, 1 << 16):
        lines, _, rest = (rest + data).rpartition(b"\n")
        if lines:
            record.write(lines + b"\n", mark)
            waiting = memoryview(lines + b"\n")
            try:
                while waiting:
                    waiting = waiting[os.write(target, waiting) :]
            except BrokenPipeError:
                return


def _run(directory: str, *command: str) -> int:
    record = _Record(directory)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        to_child, from_child = child.stdin, child.stdout.fileno()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda which, _: child.send_signal(which))

        def pass_on_client() -> None:
            _pass_on(0, to_child.fileno(), record, CLIENT)
            to_child.close()

        threading.Thread(target=pass_on_client, daemon=True).start()
        _pass_on(from_child, 1, record, PROGRAM)
        status = child.wait()
    os._exit(status if status >= 0 else 128 - status)  # the other thread may still read


if __name__ == "__main__":
    _run(*sys.argv[1:])

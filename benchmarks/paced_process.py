"""The model that streams at a pace, in a process of its own."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.request import urlopen

import msgspec

from benchmarks.client import SubjectError

_COMMAND: Final = (sys.executable, "-m", "benchmarks.paced_model")
_PLACE: Final = Path(__file__).parent.parent


class Report(msgspec.Struct, frozen=True):
    """What the model has sent so far."""

    sent: int
    """Deltas, those of ended streams included."""
    late: int
    """Deltas that were sent later than they should have been by more than `benchmarks.paced_model.LATE`."""
    streaming: int
    """Streams that are under way."""


@dataclass(slots=True)
class PacedModel:
    """A running server."""

    base_url: str
    _process: subprocess.Popen[bytes]

    @classmethod
    def start(cls) -> "PacedModel":
        """Start it and wait until it listens."""
        process = subprocess.Popen(_COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=_PLACE)
        assert process.stdout is not None
        return cls(json.loads(process.stdout.readline())["base_url"], process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)

    @property
    def pid(self) -> int:
        """The server's process."""
        return self._process.pid

    def report(self) -> Report:
        """Return what was sent so far. Raises `SubjectError`, as `stop` does."""
        return self._ask("report")

    def stop(self) -> Report:
        """End all streams, and return what was sent."""
        return self._ask("stop")

    def _ask(self, what: str) -> Report:
        address = f"{self.base_url.removesuffix('/v1')}/{what}"
        try:
            with urlopen(address, timeout=60.0) as response:
                return msgspec.json.decode(response.read(), type=Report)
        except OSError as error:  # it has no processor left to answer with
            raise SubjectError(f"the model server does not answer: {error}") from error


def prompt(rate: int) -> str:
    """Return the message that is answered at so many deltas a second, and with a single one for 0."""
    return f"pace:{rate};"

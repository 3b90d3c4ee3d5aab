"""The scripted model as a separate process, so that it takes no time from the measuring client."""

import subprocess
import sys
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self
from urllib.request import urlopen

import msgspec

_COMMAND: Final = (sys.executable, "-I", "-m", "greenroom.demo.scripted_model", "--script", "bench")
_WAIT: Final = 60.0


class Arrival(msgspec.Struct, frozen=True):
    """A request that has reached the model."""

    number: int
    arrived: float
    """Seconds of the monotonic clock, which all processes share."""
    message: str
    """Its user message."""


class _Report(msgspec.Struct):
    requests: list[Arrival]


class _Address(msgspec.Struct):
    base_url: str


@dataclass(slots=True)
class ModelProcess:
    """A running model server."""

    base_url: str
    _process: subprocess.Popen[bytes]

    @classmethod
    def start(cls) -> "ModelProcess":
        """Start it and wait until it listens."""
        process = subprocess.Popen(_COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout is not None
        return cls(msgspec.json.decode(process.stdout.readline(), type=_Address).base_url, process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)

    def arrivals(self, after: int = 0, wait: float = 0.0) -> list[Arrival]:
        """Return the requests after number `after`; wait at most so many seconds for the first."""
        address = self.base_url.removesuffix("/v1") + f"/requests?after={after}&wait={wait}"
        with urlopen(address, timeout=wait + _WAIT) as response:
            return msgspec.json.decode(response.read(), type=_Report).requests

    def total(self) -> int:
        """Return how many requests have arrived."""
        arrivals = self.arrivals()
        return arrivals[-1].number if arrivals else 0

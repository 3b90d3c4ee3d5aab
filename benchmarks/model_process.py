"""Model servers as processes of their own, so that they take no time from the measuring client."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Self, TypeVar
from urllib.request import urlopen

import msgspec

from benchmarks.client import SubjectError

_PLACE: Final = Path(__file__).parent.parent
_WAIT: Final = 60.0

_T = TypeVar("_T")


class Arrival(msgspec.Struct, frozen=True):
    """A request that has reached the scripted model."""

    number: int
    arrived: float
    """Seconds of the monotonic clock, which all processes share."""
    message: str
    """Its user message."""


class Report(msgspec.Struct, frozen=True):
    """What the model that streams at a pace has sent so far."""

    sent: int
    """Deltas, those of ended streams included."""
    late: int
    """Deltas that were sent later than they should have been by more than `benchmarks.paced_model.LATE`."""
    streaming: int
    """Streams that are under way."""


class _Arrivals(msgspec.Struct):
    requests: list[Arrival]


class _Address(msgspec.Struct):
    base_url: str


@dataclass(slots=True)
class _ServerProcess:
    """A running model server. It ends with its standard input."""

    ARGUMENTS: ClassVar[tuple[str, ...]]
    """Those of the interpreter."""

    base_url: str
    _process: subprocess.Popen[bytes]

    @classmethod
    def start(cls) -> Self:
        """Start it and wait until it listens."""
        process = subprocess.Popen(
            (sys.executable, *cls.ARGUMENTS), stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=_PLACE
        )
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

    @property
    def pid(self) -> int:
        """The server's process."""
        return self._process.pid

    def _ask(self, what: str, form: type[_T], timeout: float = _WAIT) -> _T:
        """Return what it reports of itself. Raises `OSError`."""
        with urlopen(f"{self.base_url.removesuffix('/v1')}/{what}", timeout=timeout) as response:
            return msgspec.json.decode(response.read(), type=form)


class ModelProcess(_ServerProcess):
    """The scripted model."""

    ARGUMENTS = ("-I", "-m", "greenroom.demo.scripted_model", "--script", "bench")

    def arrivals(self, after: int = 0, wait: float = 0.0) -> list[Arrival]:
        """Return the requests after number `after`; wait at most so many seconds for the first."""
        return self._ask(f"requests?after={after}&wait={wait}", _Arrivals, wait + _WAIT).requests

    def total(self) -> int:
        """Return how many requests have arrived."""
        arrivals = self.arrivals()
        return arrivals[-1].number if arrivals else 0


class PacedModel(_ServerProcess):
    """The model that streams at a pace (`benchmarks.paced_model`)."""

    ARGUMENTS = ("-m", "benchmarks.paced_model")

    def report(self) -> Report:
        """Return what was sent so far. Raises `SubjectError`, as `stop` does."""
        return self._report("report")

    def stop(self) -> Report:
        """End all streams, and return what was sent."""
        return self._report("stop")

    def _report(self, what: str) -> Report:
        try:
            return self._ask(what, Report)
        except OSError as error:  # it has no processor left to answer with
            raise SubjectError(f"the model server does not answer: {error}") from error


def prompt(rate: int) -> str:
    """Return the message that is answered at so many deltas a second, and with a single one for 0."""
    return f"pace:{rate};"

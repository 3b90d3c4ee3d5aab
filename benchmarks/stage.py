"""Where one run of an experiment takes place, and how much it does there."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from benchmarks.app_client import AppClient
from benchmarks.client import Client
from benchmarks.hosting import hosting
from benchmarks.model_process import ModelProcess, PacedModel
from benchmarks.subject import Subject, environment, write_config

Measured: TypeAlias = Mapping[str, list[float]]
"""Samples by the key of their figure."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much one run does."""

    turns: int
    deltas: int
    """One of the sizes that the scripted model has."""
    idle_seconds: float
    kills: int
    workers: int
    parked: int
    stream_seconds: float
    """For which streams are watched."""
    search_seconds: float
    """After which no further number of conversations is tried, though the search is not finished."""
    most_conversations: int
    """That are tried."""
    load_seconds: float
    """For which many clients have turns."""


FULL: Final = Sizes(
    turns=20,
    deltas=20_000,
    idle_seconds=10.0,
    kills=100,
    workers=5,
    parked=500,
    stream_seconds=10.0,
    search_seconds=600.0,
    most_conversations=1024,
    load_seconds=20.0,
)
QUICK: Final = Sizes(
    turns=5,
    deltas=5_000,
    idle_seconds=3.0,
    kills=10,
    workers=2,
    parked=100,
    stream_seconds=2.0,
    search_seconds=10.0,
    most_conversations=32,
    load_seconds=4.0,
)


@dataclass(frozen=True, slots=True)
class Stage:
    """Where one run takes place."""

    subject: Subject
    model: ModelProcess
    paced: PacedModel
    home: str
    workspace: str
    sizes: Sizes

    def client(self, *flags: str) -> Client:
        """Start the subject, with further settings."""
        more = [word for flag in flags for word in ("-c", flag)]
        subject = replace(self.subject, command=(*self.subject.command, *more))
        return Client(subject, self.home, self.workspace)

    def app_client(self) -> AppClient:
        """Start the subject, which speaks the protocol of `app-server`."""
        return AppClient(self.subject, self.home, self.workspace)

    @contextmanager
    def host(self) -> Iterator[int | None]:
        """Run the host that the subject joins, and provide its pid; nothing where it joins none."""
        if self.subject.host is None:
            yield None
            return
        with hosting(self.subject.host, self.home, environment(self.subject, self.home)) as pid:
            yield pid

    @contextmanager
    def in_fresh_home(self, base_url: str) -> Iterator["Stage"]:
        """Provide the same stage with a home that is new and knows the model server at this address."""
        with tempfile.TemporaryDirectory(prefix="fresh-", dir=os.path.dirname(self.home)) as place:
            home = os.path.join(place, "home")
            write_config(home, base_url)
            yield replace(self, home=home)

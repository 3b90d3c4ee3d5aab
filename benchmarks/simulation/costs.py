"""The measured costs that the simulation is fed with, from a table that says where each comes from."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

TABLE: Final = Path(__file__).with_name("costs.toml")
_SCALES: Final = {"µs": 1e-6, "ms": 1e-3, "ms/s": 1e-3, "s": 1.0, "1/s": 1.0, "kB": 1e3, "": 1.0}
_FILES: Final = "find_"
_NODES: Final = "idle_node_cpu_"


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds of processor time, unless something else is said."""

    new: float
    """Of the supervisor, for a new conversation and its first turn."""
    resume: float
    """For a parked conversation that goes on, without the search for its file."""
    reply: float
    """For a turn in a conversation that has its process."""
    new_bearers: float
    """Of the auth broker, for a new process and its first bearer."""
    bearer: float
    """Of the auth broker, for each further one."""
    stream: float
    """Of the supervisor, for each second of a conversation that streams."""
    wide_stream: float
    """The same where pieces of a text are gathered for half a second (`delta_window_ms = 500`)."""
    node: float
    """Of the supervisor, for each second of a node."""
    join: float
    """Of the supervisor, for a node that joins."""
    commit: float
    """Seconds that a flush of records takes, in one of four threads."""
    search: float
    """Of the supervisor, for each file among which a session file is looked for."""
    live_memory: float
    """Bytes of the supervisor for a conversation that has its process."""
    parked_memory: float
    """Bytes of the supervisor for a parked conversation that it remembers."""
    broker_descriptors: float
    """Descriptors of the auth broker for the same."""
    live_descriptors: float
    """Descriptors of the supervisor for a conversation that has its process."""

    @classmethod
    def read(cls, path: Path = TABLE) -> Self:
        """Read the table. Raises `OSError`, `KeyError` and `ValueError`."""
        table = tomllib.loads(path.read_text("utf-8"))

        def value(key: str) -> float:
            entry = table[key]
            return float(entry["value"]) * _SCALES[entry["unit"]]

        most = max(int(key.removeprefix(_FILES)) for key in table if key.startswith(_FILES))
        nodes = max((key for key in table if key.startswith(_NODES)), key=lambda key: int(key.removeprefix(_NODES)))
        return cls(
            new=value("new_cpu"),
            resume=value("resume_cpu"),
            reply=value("call_cpu"),
            new_bearers=value("new_broker_cpu"),
            bearer=value("call_broker_cpu"),
            stream=value("stream_cpu"),
            wide_stream=value("wide_stream_cpu"),
            node=value(nodes),
            join=value("join_cpu"),
            commit=value("commit"),
            search=value(f"{_FILES}{most}") / most,
            live_memory=value("live_memory"),
            parked_memory=value("parked_memory"),
            broker_descriptors=value("live_broker_descriptors"),
            live_descriptors=value("live_descriptors"),
        )

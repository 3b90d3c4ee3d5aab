"""The rows of the budget table, each with its budget."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from benchmarks.budgets import AtLeast, AtMost, Both, Budget, RatioAtLeast, RatioAtMost, Unit
from benchmarks.interpreters import VERSIONS, Version, name_of
from benchmarks.subject import APP, APP_ATTACHED, ATTACHED, GREENROOM, LAUNCHED, NEWEST, REFERENCE

Statistic: TypeAlias = Literal["median", "p99"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One row."""

    key: str
    title: str
    unit: Unit
    budget: Budget | None
    """`None` for a figure that only puts others into proportion."""
    statistic: Statistic = "median"
    measured_as: str | None = None
    """The figure whose samples of Greenroom the row shows, where they are not its own."""
    compared_with: str | None = None
    """The figure whose samples of the reference the row shows, where they are not its own."""
    subject: str = GREENROOM
    """The subject whose samples are those of Greenroom."""
    rival: str = REFERENCE
    """The subject that Greenroom is compared with."""

    @property
    def source(self) -> str:
        """The key of the samples of Greenroom that the row shows."""
        return self.measured_as or self.key


_WITHIN_5_MS: Final = Both(AtMost(5, aim=3), RatioAtMost(1.0))
_WITHIN_25_MS: Final = Both(AtMost(25, aim=15), RatioAtMost(1.0))
_STREAM_1: Final = RatioAtMost(0.5, aim=0.3)
_STREAM_40: Final = RatioAtMost(0.35, aim=0.2)
_SILENT: Final = RatioAtMost(0.2, aim=0.1)
_CROWD: Final = Both(AtMost(1.8, aim=1.2), RatioAtMost(0.03))

_FIGURES: Final = (
    Figure("start", "start → `initialize` answered", "ms", RatioAtMost(0.6)),
    Figure(
        "start-launched",
        "start → `initialize` answered, the reference through its Node launcher",
        "ms",
        None,
        measured_as="start",
        compared_with="start",
        rival=LAUNCHED,
    ),
    Figure("first-turn", "start → first turn answered", "ms", RatioAtMost(1.0, aim=0.6)),
    Figure(
        "first-turn-launched",
        "start → first turn answered, the reference through its Node launcher",
        "ms",
        None,
        measured_as="first-turn",
        compared_with="first-turn",
        rival=LAUNCHED,
    ),
    Figure("fresh-first-turn", "start → first turn answered, a fresh home each", "ms", RatioAtMost(1.0, aim=0.8)),
    Figure(
        "fresh-first-turn-launched",
        "start → first turn answered, a fresh home each, the reference through its Node launcher",
        "ms",
        None,
        measured_as="fresh-first-turn",
        compared_with="fresh-first-turn",
        rival=LAUNCHED,
    ),
    Figure("new-conversation", "new conversation: call → request at the model", "ms", AtMost(8)),
    Figure("return", "parked conversation: call → request at the model", "ms", None),
    Figure("reply", "trivial reply turn, whole", "ms", AtMost(8)),
    Figure("deltas", "text deltas relayed to the client", "/s", AtLeast(50_000)),
    Figure("delta-cpu", "CPU for one delta, all processes", "µs", AtMost(30)),
    Figure("single-delta-cpu", "CPU for one delta where 200 a second arrive one by one", "µs", None),
    Figure("stream-1", "1 \u00d7 100 deltas a second, one by one: CPU for a delta, in mid-stream", "µs", _STREAM_1),
    Figure("stream-1-whole", "1 \u00d7 100: the same over new conversations that stream for 10 s", "µs", _STREAM_1),
    Figure(
        "silent-1",
        "1 \u00d7 100, the client gets no deltas: CPU for a delta, in mid-stream",
        "µs",
        _SILENT,
        compared_with="stream-1",
    ),
    Figure(
        "silent-1-whole",
        "1 \u00d7 100, the client gets no deltas: the same over new conversations that stream for 10 s",
        "µs",
        _SILENT,
        compared_with="stream-1-whole",
    ),
    Figure("stream-40", "40 \u00d7 30 deltas a second, one by one: CPU for a delta, in mid-stream", "µs", _STREAM_40),
    Figure("stream-40-whole", "40 \u00d7 30: the same over new conversations that stream for 10 s", "µs", _STREAM_40),
    Figure(
        "silent-40",
        "40 \u00d7 30, the client gets no deltas: CPU for a delta, in mid-stream",
        "µs",
        _SILENT,
        compared_with="stream-40",
    ),
    Figure(
        "silent-40-whole",
        "40 \u00d7 30, the client gets no deltas: the same over new conversations that stream for 10 s",
        "µs",
        _SILENT,
        compared_with="stream-40-whole",
    ),
    Figure("latency", "40 \u00d7 30 a second: model's socket → client's pipe", "ms", _WITHIN_5_MS),
    Figure("latency-p99", "40 \u00d7 30 a second: model's socket → client's pipe, p99", "ms", _WITHIN_25_MS, "p99"),
    Figure(
        "capacity",
        "conversations of 50 deltas a second on two cores, with a p99 of at most 250 ms",
        "",
        RatioAtLeast(3, aim=5),
    ),
    Figure("crowd", "100 calls at once, each thinking 2 \u00d7 0.3 s and running one command", "s", _CROWD),
    Figure("memory-waiting", "private memory of a worker that waits for its conversation", "MB", AtMost(4)),
    Figure("memory-idle", "private memory of a live conversation that has run a command", "MB", AtMost(6, aim=4)),
    Figure("memory-parked", "memory of a parked conversation", "kB", AtMost(20)),
    Figure("idle-cpu", "CPU of 100 idle conversations, of one core", "%", AtMost(0.5)),
    Figure("sandbox", "one step with a sandboxed command (`true`), above its bare spawn", "ms", AtMost(8, aim=5)),
    Figure("no-sandbox", "one step with a command (`true`) without a sandbox, above its bare spawn", "ms", None),
    Figure("login-shell", "one step with `bash -lc true` where the profile takes 0.3 s", "ms", RatioAtMost(0.6)),
    Figure("bearer", "a worker's bearer from the auth broker, with 100 workers asking", "ms", None),
    Figure("bearer-p99", "a worker's bearer from the auth broker, with 100 workers asking, p99", "ms", None, "p99"),
    Figure("kill", "worker killed → its call answered, p99", "ms", AtMost(50), "p99"),
    Figure("telemetry-cpu", "metrics scraped and traces sent: more CPU for turns with commands", "%", AtMost(5)),
)
_OWN: Final = "own server"
_NAMES: Final = {APP: _OWN, NEWEST: "reference"}
_MANY: Final = "20 clients \u00d7 5 conversations, a turn each 4 s"
_MANY_TITLES: Final = {"many-cpu": "CPU for a turn", "many-memory": "memory (PSS)", "many-p99": "due → answered, p99"}
_APP_TITLES: Final = {
    "app-start": "start → `initialize` answered",
    "app-new-conversation": "new conversation: `thread/start` → request at the model",
    "app-reply": "trivial reply turn, whole",
}
_APP_BUDGETS: Final[Mapping[str, Budget]] = {
    "app-start": RatioAtMost(0.6),
    "app-new-conversation": Both(AtMost(12), RatioAtMost(0.6)),
    "app-reply": Both(AtMost(8), RatioAtMost(1.0)),
}
_HOST_FIGURES: Final = (
    Figure(
        "attach",
        "attach to a host → `initialize` answered, beside a server of its own",
        "ms",
        RatioAtMost(0.6, rival=_OWN),
        subject=ATTACHED,
        rival=GREENROOM,
    ),
    *(
        Figure(
            f"{key}{suffix}",
            f"app-server{where}: {title}",
            "ms",
            _APP_BUDGETS[key],
            measured_as=key,
            compared_with=key,
            subject=subject,
            rival=NEWEST,
        )
        for suffix, where, subject in (("", "", APP), ("-attached", " of a host", APP_ATTACHED))
        for key, title in _APP_TITLES.items()
    ),
    *(
        Figure(
            f"{key}{suffix}",
            f"{_MANY}, on one host beside {beside}: {title}",
            "MB" if key == "many-memory" else "ms",
            RatioAtMost(1.1, rival=_OWN)
            if rival == APP and key != "many-memory"
            else RatioAtMost(1.0, rival=_NAMES[rival]),
            "p99" if key == "many-p99" else "median",
            measured_as=key,
            compared_with=key,
            subject=APP_ATTACHED,
            rival=rival,
        )
        for key, title in _MANY_TITLES.items()
        for suffix, beside, rival in (("", "20 servers", APP), ("-reference", "20 of the reference", NEWEST))
    ),
)
ON_EACH_INTERPRETER: Final = (
    "start",
    "first-turn",
    "new-conversation",
    "reply",
    "stream-1",
    "stream-1-whole",
    "crowd",
    "memory-waiting",
    "memory-idle",
)
"""Keys of the figures that are measured on every interpreter of the machine."""


def _on(version: Version, figure: Figure) -> Figure:
    """Return a row with the figure on another interpreter."""
    number = ".".join(map(str, version))
    return replace(
        figure,
        key=f"{figure.key}-{number}",
        title=f"CPython {number}: {figure.title}",
        measured_as=figure.key,
        compared_with=figure.key,
        subject=name_of(version),
    )


FIGURES: Final = (
    *_FIGURES,
    *_HOST_FIGURES,
    *(
        _on(version, figure)
        for version in VERSIONS
        if version != sys.version_info[:2]
        for figure in _FIGURES
        if figure.key in ON_EACH_INTERPRETER
    ),
)
KEYS: Final = tuple(figure.key for figure in FIGURES)

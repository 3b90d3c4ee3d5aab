"""All instances as lines of text: for each its state, its problems, its processes and conversations, and its deaths.

Free of I/O and clocks.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from rich.text import Text

from greenroom.protocol.display import clean
from greenroom.protocol.report import ClientEntry, ConversationEntry, DeathEntry, Report, WorkFigures
from greenroom.supervisor.cli.status.formatting import age, amount, counted, latency, short_id, size
from greenroom.supervisor.cli.status.overview import InstanceStatus, Overview, ProcessStatus
from greenroom.supervisor.cli.status.seen_process import SeenProcess
from greenroom.supervisor.cli.status.table import Column, clipped, lay_out, wrap

QUIET_ROWS: Final = 20
"""Conversations without a process that are shown; `--json` has more."""
MOST_CLIENTS: Final = 20
"""Clients that are shown each by itself."""
DEATHS: Final = 5
"""Deaths that are shown."""

_UNEXPECTED: Final = frozenset({"stopped", "tracing-stop", "zombie", "dead"})
"""States in the kernel's words of processes that cannot work."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table: a process, a conversation, or both."""

    name: str
    process: ProcessStatus | None = None
    conversation: ConversationEntry | None = None

    @property
    def seen(self) -> SeenProcess | None:
        """The process as the kernel shows it."""
        return None if self.process is None else self.process.seen


def overview_page(overview: Overview, room: int | None) -> list[Text]:
    """Return the lines of the page; `room`: cells of a line, `None` for as many as it takes."""
    lines: list[Text] = []
    for status in overview.instances:
        if lines:
            lines.append(Text())
        lines += _instance(status, overview.at, room)
    return lines


def _instance(status: InstanceStatus, now: float, room: int | None) -> Iterator[Text]:
    facts = status.instance
    up = age(now - facts.started_at)
    home = _below_home(clean(facts.codex_home))
    yield clipped(f"greenroom {clean(facts.version)}  pid {facts.pid}  up {up}  {facts.engine}  {home}", room, "bold")
    for trouble in status.troubles:
        yield from wrap(f"! {clean(trouble.text)}", room, "red")
    for text in _summary(status.report) if status.report is not None else ():
        yield from wrap(clean(text), room)
    rows, quiet = _rows(status)
    yield from lay_out(COLUMNS, [[_value(column, row) for column in COLUMNS] for row in rows], room)
    for limit in _sandbox_limits(status.report):
        yield from wrap(clean(f"sandbox: {limit}"), room, "dim")
    hidden = quiet + (status.report.left_out if status.report else 0)
    if hidden:
        yield clipped(f"and {counted(hidden, 'conversation')} more without a process", room, "dim")
    yield from _deaths(status.report, room)


# What holds for all of it


def _summary(report: Report) -> Iterator[str]:
    figures = report.statistics
    table = figures.conversations
    if table is not None:
        yield (
            f"{counted(table.known, 'conversation')}, {table.with_process} with a process · "
            f"{counted(table.turns_running, 'turn')} running, {table.turns_waiting} waiting"
        )
    particulars = " · ".join(_particulars(report))
    if particulars:
        yield particulars
    if report.work is not None and report.work.calls:
        yield " · ".join(_work(report.work))
    yield from _telemetry(report)
    yield from _paces(report)
    yield from _clients(report)
    yield from _nodes(report)


def _particulars(report: Report) -> Iterator[str]:
    figures, credential = report.statistics, report.credential
    if credential is not None:
        state = credential.state.lower().replace("_", " ")
        yield f"credential {credential.mode}, {state}{_time_left(credential.time_left)}"
    if len(report.clients) > 1:
        yield f"{len(report.clients)} clients"
    elif report.client is not None:
        yield f"client {_introduction(report.client)}"
    if figures.open_calls is not None:
        yield f"{counted(figures.open_calls, 'call')} open"
    if figures.stdio is not None and figures.stdio.waiting:
        yield f"{size(figures.stdio.waiting)} unread by the client"
    if figures.worker_router is not None and figures.worker_router.paused:
        yield "workers wait for the client to read"
    if figures.conversations is not None and figures.conversations.waiting_for_place:
        yield f"{counted(figures.conversations.waiting_for_place, 'conversation')} waiting for a place"
    if figures.pool is not None and figures.pool.orders:
        yield f"{counted(figures.pool.orders, 'conversation')} waiting for a worker"


def _work(work: WorkFigures) -> Iterator[str]:
    """Yield what has been done since the start; what has not happened is left out."""
    yield counted(work.calls, "call")
    if work.calls_refused:
        yield f"{work.calls_refused} refused"
    yield "turns " + (", ".join(f"{count} {outcome}" for outcome, count in work.turns.items() if count) or "none ended")
    if work.first_token is not None:
        yield f"first token p50 {latency(work.first_token.p50)}, p99 {latency(work.first_token.p99)}"
    if tokens := work.tokens.get("input", 0) + work.tokens.get("output", 0):
        yield f"{amount(tokens)} tokens"
    if work.rate_limited:
        yield f"{work.rate_limited} times 429"
    if work.deaths:
        yield counted(work.deaths, "death")


def _telemetry(report: Report) -> Iterator[str]:
    """Return a line for each signal of which a collector of OpenTelemetry has not got all."""
    for told in report.telemetry:
        facts = []
        if told.failed:
            facts.append(f"{told.failed} not taken by the collector ({told.failure})")
        if told.dropped:
            facts.append(f"{told.dropped} dropped, as too many waited")
        if facts:
            yield f"telemetry: of {told.sent + told.failed + told.dropped} {told.signal} {', '.join(facts)}"


def _paces(report: Report) -> Iterator[str]:
    """Return a line for each rate limit that is known."""
    for pace in report.paces:
        facts = [f"rate limit {pace.key[:8]}: a request every {_seconds(pace.interval)}"]
        if pace.hold >= 1:
            facts.append(f"none for {age(pace.hold)}")
        if pace.waiting:
            facts.append(f"{counted(pace.waiting, 'request')} waiting")
        facts.append(f"refused {counted(pace.refusals, 'time')}, last {age(pace.quiet_for)} ago")
        yield ", ".join(facts)


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def _clients(report: Report) -> Iterator[str]:
    """Return a line for each client where there are several."""
    for client in report.clients[:MOST_CLIENTS] if len(report.clients) > 1 else ():
        facts = [f"{client.id}: {_introduction(client)}"]
        if client.pid is not None:
            facts.append(f"pid {client.pid}")
        if client.connected_at is not None:
            facts.append(f"for {age(report.at - client.connected_at)}")
        if client.open_calls:
            facts.append(f"{counted(client.open_calls, 'call')} open")
        if client.waiting:
            facts.append(f"{size(client.waiting)} unread")
        yield ", ".join(facts)
    if len(report.clients) > MOST_CLIENTS:
        yield f"and {counted(len(report.clients) - MOST_CLIENTS, 'client')} more"


def _nodes(report: Report) -> Iterator[str]:
    """Return a line for each other machine."""
    for node in report.nodes:
        facts = [f"node {node.name}: {node.state}"]
        if node.engine != "join":
            facts.append(f"placed by {node.engine}")
        if node.state in ("ready", "away", "draining"):
            facts.append(f"{counted(node.workers, 'worker')} of {node.capacity}")
        if node.round_trip is not None:
            facts.append(f"{node.round_trip * 1000:.1f} ms there and back")
        if node.load is not None:
            facts.append(f"load {node.load:.2f} a core")
        if node.memory is not None:
            facts.append(size(node.memory))
        if node.version:
            facts.append(node.version)
        if node.note:
            facts.append(node.note)
        yield ", ".join(facts)


def _introduction(client: ClientEntry) -> str:
    spoken = f" (MCP {client.protocol})" if client.protocol else ""
    return f"{client.name} {client.version}{spoken}"


def _sandbox_limits(report: Report | None) -> Iterable[str]:
    """Return what sandboxes do not protect on this system, each once."""
    owns = (entry.own for entry in (report.processes if report else ()) if entry.own is not None)
    return dict.fromkeys(limit for own in owns for limit in own.sandbox_limits)


def _time_left(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f", {age(seconds)} left" if seconds > 0 else f", expired {age(-seconds)} ago"


def _below_home(path: str) -> str:
    home = os.path.expanduser("~")
    return "~" + path[len(home) :] if path == home or path.startswith(home + os.sep) else path


# The table


def _rows(status: InstanceStatus) -> tuple[list[Row], int]:
    """Return the rows, and how many conversations got none."""
    conversations = status.report.conversations if status.report else ()
    hosts = {process.conversation_id: process for process in status.processes if process.role == "worker"}
    own = [
        Row(_process_name(one), one) for one in status.processes if one.conversation_id is None or one.role != "worker"
    ]
    live = [Row(short_id(one.id), hosts.get(one.id), one) for one in conversations if one.id in hosts]
    others = [Row(short_id(one.id), None, one) for one in conversations if one.id not in hosts]
    shown = others[:QUIET_ROWS]
    return [*own, *live, *shown], len(others) - len(shown)


def _process_name(process: ProcessStatus) -> str:
    if process.role != "worker" and process.conversation_id is not None:
        return f"{process.role} of {short_id(process.conversation_id)}"
    spare = process.role == "worker" and process.entry is not None
    return "(spare worker)" if spare else process.role.replace("_", "-")


def _state(row: Row) -> str:
    """Return the state by the supervisor's report, or by the kernel where that is unexpected."""
    if row.seen is not None and row.seen.state in _UNEXPECTED:
        return row.seen.state
    entry = row.process.entry if row.process else None
    told = row.conversation or entry
    if told is not None and told.state is not None:
        return told.state.replace("_", " ")
    return "gone" if row.seen is None else row.seen.state


def _doing(row: Row) -> str:
    conversation = row.conversation
    if conversation is None or conversation.turn is None:
        return ""
    turn = conversation.turn
    doing = "waiting for the user" if conversation.approvals else turn.doing or ""
    return f"{'interrupted, ' if turn.interrupted else ''}{doing}"


def _of_process(value: Callable[[SeenProcess], str]) -> Callable[[Row], str]:
    return lambda row: "" if row.seen is None else value(row.seen)


def _of_conversation(value: Callable[[ConversationEntry], str]) -> Callable[[Row], str]:
    return lambda row: "" if row.conversation is None else value(row.conversation)


def _restarts(row: Row) -> str:
    entry = row.process.entry if row.process else None
    counts = (row.conversation.restarts if row.conversation else None, entry.restarts if entry else None)
    return _some(next((count for count in counts if count), 0))


def _private(name: Literal["uss", "pss"]) -> Callable[[Row], str]:
    """Return a reader of private memory, which the kernel may not show, but the process itself may have reported."""

    def value(row: Row) -> str:
        own = row.process.entry.own if row.process and row.process.entry else None
        found = [getattr(source, name) for source in (row.seen, own) if source is not None]
        return next((size(count) for count in found if count is not None), "")

    return value


def _descriptors(row: Row) -> str:
    own = row.process.entry.own if row.process and row.process.entry else None
    found = [source.descriptors for source in (row.seen, own) if source is not None]
    return next((str(count) for count in found if count is not None), "")


def _node(row: Row) -> str:
    entry = row.process.entry if row.process else None
    told = (entry.node if entry else None, row.conversation.node if row.conversation else None)
    return next((name for name in told if name), "")


def _some(count: int | None) -> str:
    return amount(count) if count else ""


def _cost(one: ConversationEntry) -> str:
    """Return the cost in at most four places; `+` says that a part of it is not known."""
    more = "+" if one.unpriced_tokens and one.cost else ""
    return " ".join(f"{round(Decimal(money.amount), 4).normalize():f} {money.currency}{more}" for money in one.cost)


def _optional_age(seconds: float | None) -> str:
    return "" if seconds is None else age(seconds)


_VALUES: Final[Mapping[Column, Callable[[Row], str]]] = {
    Column("WHO", 0): lambda row: row.name,
    Column("STATE", 0): _state,
    Column("TURN", 1, right=True): _of_conversation(lambda one: age(one.turn.age) if one.turn else ""),
    Column("IDLE", 9, right=True): _of_conversation(lambda one: _optional_age(one.idle_for)),
    Column("NODE", 4): _node,
    Column("PID", 1, right=True): lambda row: "" if row.process is None else str(row.process.pid),
    Column("CPU%", 2, right=True): _of_process(lambda one: "" if one.cpu_percent is None else f"{one.cpu_percent:.1f}"),
    Column("RSS", 2, right=True): _of_process(lambda one: size(one.rss)),
    Column("USS", 7, right=True): _private("uss"),
    Column("PSS", 12, right=True): _private("pss"),
    Column("THR", 13, right=True): _of_process(lambda one: str(one.threads)),
    Column("FDS", 14, right=True): _descriptors,
    Column("CHILD", 5, right=True): lambda row: _some(row.process.children if row.process else 0),
    Column("INC", 10, right=True): _of_conversation(lambda one: str(one.incarnation)),
    Column("DEATHS", 4, right=True): _restarts,
    Column("ASKS", 2, right=True): _of_conversation(lambda one: _some(one.approvals)),
    Column("WAIT", 2, right=True): _of_conversation(lambda one: _some(one.queued)),
    Column("TOKENS", 6, right=True): _of_conversation(lambda one: _some(one.tokens)),
    Column("COST", 6, right=True): _of_conversation(_cost),
    Column("DOING", 3, least=14): _doing,
    Column("MODEL", 16, least=8): _of_conversation(lambda one: one.model or ""),
    Column("TITLE", 8, least=12): _of_conversation(lambda one: one.title or ""),
    Column("DIRECTORY", 11, least=12): _of_conversation(lambda one: _below_home(one.cwd or "")),
}

COLUMNS: Final = tuple(_VALUES)


def _value(column: Column, row: Row) -> str:
    return clean(_VALUES[column](row))


# The dead


def _deaths(report: Report | None, room: int | None) -> Iterator[Text]:
    deaths = report.deaths[:DEATHS] if report else ()
    if report is None or not deaths:
        return
    yield Text()
    yield from lay_out(_DEATH_COLUMNS, [_death(death, report.at) for death in deaths], room)
    for death in deaths:
        if death.log_lines:
            yield clipped(clean(f"last words of {_mortal(death)}: {death.log_lines[-1]}"), room, "dim")


def _death(death: DeathEntry, now: float) -> list[str]:
    when, memory = f"{age(now - death.at)} ago", size(death.max_rss) if death.max_rss else ""
    return [when, _mortal(death), str(death.pid or ""), clean(death.cause), memory, clean(death.doing or "")]


def _mortal(death: DeathEntry) -> str:
    return short_id(death.conversation_id) if death.conversation_id else _whose(death.process)


def _whose(process: str) -> str:
    return "(spare worker)" if process.startswith("w-") else clean(process)


_DEATH_COLUMNS: Final = (
    Column("WHEN", 0, right=True),
    Column("WHO", 0),
    Column("PID", 2, right=True),
    Column("CAUSE", 0, least=16),
    Column("RSS", 3, right=True),
    Column("DOING", 1, least=12),
)

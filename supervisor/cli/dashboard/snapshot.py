"""The tables of the page from what `greenroom status` shows. Free of I/O and clocks.

Reports tell ages, which change all the time. The page is told the moments instead, kept as they were while they differ
by no more than what reports take to come, and counts by itself.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final

from greenroom.protocol.display import clean
from greenroom.protocol.ids import ConversationId
from greenroom.protocol.report import ClientEntry, ConversationEntry, DeathEntry, NodeEntry, PaceEntry, Report
from greenroom.supervisor.cli.dashboard.command_text import command_text
from greenroom.supervisor.cli.dashboard.tables import EMPTY, NAMES, DashboardTables, TableName, TableRow
from greenroom.supervisor.cli.status.overview import CommandProcess, InstanceStatus, Overview, ProcessStatus

STEADY: Final = 2.0
"""Seconds by which a moment may differ from the one told before and is still the same one."""
MOMENTS: Final = ("turnSince", "idleSince", "expiresAt", "heardAt", "refusedAt", "freeAt")
"""Columns that are moments computed from ages, in seconds since the epoch."""
UNEXPECTED: Final = frozenset({"stopped", "tracing-stop", "zombie", "dead"})
"""States in the kernel's words of processes that cannot work."""
MEBIBYTE: Final = 1024 * 1024
COMMAND: Final = "command"
"""The role of processes that are not Greenroom's."""
MOST_COMMANDS: Final = 300
"""Processes of commands of an instance that are listed; all of them are counted."""

_cleaned = lru_cache(maxsize=8192)(clean)


def snapshot(overview: Overview, before: DashboardTables = EMPTY) -> DashboardTables:
    """Return the tables of an overview; `before` are those that were told last."""
    rows: dict[TableName, dict[str, TableRow]] = {name: {} for name in NAMES}
    for status in overview.instances:
        for name, key, row in _rows(status):
            rows[name][key] = _steady(_safe_row(row), before[name].get(key))
    rows["totals"]["all"] = _totals(rows["processes"].values())
    return rows


def _rows(status: InstanceStatus) -> Iterator[tuple[TableName, str, TableRow]]:
    pid, report = status.instance.pid, status.report
    yield "instances", str(pid), _instance(status)
    for process in status.processes:
        yield "processes", f"{pid}/{process.pid}", _process(pid, process)
    for command in status.commands[:MOST_COMMANDS]:
        yield "processes", f"{pid}/{command.seen.pid}", _command(pid, command)
    if report is None:
        return
    yield from _elsewhere(pid, report)
    hosts = {one.conversation_id: one for one in status.processes if one.role == "worker" and one.conversation_id}
    for conversation in report.conversations:
        yield "conversations", f"{pid}/{conversation.id}", _conversation(pid, conversation, hosts, report.at)
    for death in report.deaths:
        yield "deaths", f"{pid}/{death.process}/{death.pid}/{death.at:.3f}", _death(pid, death)
    for pace in report.paces:
        yield "paces", f"{pid}/{pace.key}", _pace(pid, pace, report.at)
    for node in report.nodes:
        yield "nodes", f"{pid}/{node.name}", _node(pid, node, report.at)
    for client in report.clients:
        yield "clients", f"{pid}/{client.id}", _client(pid, client)


def _instance(status: InstanceStatus) -> TableRow:
    facts, report = status.instance, status.report
    row: dict[str, object] = {
        "pid": facts.pid,
        "version": facts.version,
        "engine": facts.engine,
        "home": facts.codex_home,
        "startedAt": facts.started_at,
        "reply": status.reply,
        "refusal": status.refusal,
        "seenAt": None if status.reply == "report" else status.seen_at,
        "troubles": [{"kind": trouble.kind, "text": trouble.text} for trouble in status.troubles],
    }
    if report is None:
        return row
    figures, credential = report.statistics, report.credential
    if figures.conversations is not None:
        row |= figures.conversations.model_dump()
    if credential is not None:
        expires_at = None if credential.time_left is None else report.at + credential.time_left
        row |= {"mode": credential.mode, "credential": credential.state, "plan": credential.plan_type}
        row["expiresAt"] = expires_at
    limits = (limit for entry in report.processes if entry.own for limit in entry.own.sandbox_limits)
    return row | {
        "openCalls": figures.open_calls,
        "leftOut": report.left_out,
        "sandboxLimits": list(dict.fromkeys(limits)),
    }


def _conversation(
    pid: int, one: ConversationEntry, hosts: Mapping[ConversationId, ProcessStatus], at: float
) -> TableRow:
    host, turn = hosts.get(one.id), one.turn
    seen = None if host is None else host.seen
    return {
        "id": one.id,
        "instance": pid,
        "state": one.state,
        "broken": seen.state if seen is not None and seen.state in UNEXPECTED else None,
        "title": one.title,
        "model": one.model,
        "directory": one.cwd,
        "doing": None if turn is None else turn.doing,
        "interrupted": turn is not None and turn.interrupted,
        "turn": None if turn is None else turn.id,
        "turnSince": None if turn is None else at - turn.age,
        "idleSince": None if one.idle_for is None else at - one.idle_for,
        "asks": one.approvals or 0,
        "queued": one.queued,
        "tokens": one.tokens,
        "cost": [f"{money.amount} {money.currency}" for money in one.cost],
        "unpriced": bool(one.unpriced_tokens and one.cost),
        "deaths": one.restarts or 0,
        "incarnation": one.incarnation,
        "pid": one.pid,
        "node": one.node,
        "cpu": _sum(None if seen is None else seen.cpu_percent, None if host is None else host.commands_cpu_percent),
        "memory": _sum(_memory(host), _commands_memory(host)),
        "commands": 0 if host is None else host.commands,
        "commandsCpu": None if host is None else host.commands_cpu_percent,
        "commandsMemory": _commands_memory(host),
    }


def _process(pid: int, one: ProcessStatus) -> TableRow:
    seen, entry = one.seen, one.entry
    return {
        "instance": pid,
        "pid": one.pid,
        "parent": None if seen is None else seen.parent,
        "role": one.role,
        "state": _state(one),
        "conversation": one.conversation_id,
        "restarts": 0 if entry is None else entry.restarts or 0,
        "commands": one.commands,
        "commandsCpu": one.commands_cpu_percent,
        "startedAt": None if seen is None else round(seen.created_at, 1),
        "cpu": None if seen is None else seen.cpu_percent,
        "resident": None if seen is None else _rounded(seen.rss),
        "memory": _memory(one),
        "threads": None if seen is None else seen.threads,
        "node": None,
    }


def _command(pid: int, one: CommandProcess) -> TableRow:
    seen = one.seen
    return {
        "instance": pid,
        "pid": seen.pid,
        "parent": one.parent,
        "role": COMMAND,
        "text": command_text(seen.command, seen.name),
        "state": seen.state,
        "conversation": one.conversation_id,
        "restarts": 0,
        "commands": 0,
        "startedAt": round(seen.created_at, 1),
        "cpu": seen.cpu_percent,
        "memory": _rounded(seen.rss),
        "node": None,
    }


def _commands_memory(one: ProcessStatus | None) -> int | None:
    """Return the memory of the commands of a worker; `None` where it has none."""
    return _rounded(one.commands_rss) if one is not None and one.commands else None


def _elsewhere(pid: int, report: Report) -> Iterator[tuple[TableName, str, TableRow]]:
    """Yield the processes on nodes, of which the kernel of this machine shows nothing."""
    for entry in report.processes:
        if entry.node is not None:
            row = {
                "instance": pid,
                "pid": entry.node_pid,
                "parent": None,
                "role": entry.role,
                "state": entry.state,
                "conversation": entry.conversation_id,
                "restarts": entry.restarts or 0,
                "commands": 0,
                "memory": None if entry.own is None else _rounded(entry.own.uss),
                "node": entry.node,
            }
            yield "processes", f"{pid}/{entry.node}/{entry.worker_id}", row


def _state(one: ProcessStatus) -> str:
    """Return the state by the supervisor's report, or by the kernel where that is unexpected."""
    if one.seen is not None and one.seen.state in UNEXPECTED:
        return one.seen.state
    if one.entry is not None and one.entry.state is not None:
        return one.entry.state
    return "gone" if one.seen is None else one.seen.state


def _memory(one: ProcessStatus | None) -> int | None:
    """Return the memory that a process alone uses, as far as is known; else what is resident of it."""
    if one is None:
        return None
    own = one.entry.own if one.entry is not None else None
    found = (None if own is None else own.uss, one.seen.uss if one.seen else None, one.seen.rss if one.seen else None)
    return _rounded(next((value for value in found if value is not None), None))


def _rounded(size: int | None) -> int | None:
    """Return bytes to a tenth of a mebibyte: a change that is not displayed does not count."""
    return None if size is None else round(round(size / MEBIBYTE, 1) * MEBIBYTE)


def _death(pid: int, one: DeathEntry) -> TableRow:
    return {
        "instance": pid,
        "at": one.at,
        "process": one.process,
        "pid": one.pid,
        "cause": one.cause,
        "memory": one.max_rss or None,
        "conversation": one.conversation_id,
        "incarnation": one.incarnation,
        "doing": one.doing,
        "words": list(one.log_lines),
        "node": one.node or None,
    }


def _pace(pid: int, one: PaceEntry, at: float) -> TableRow:
    return {
        "instance": pid,
        "key": one.key,
        "interval": round(one.interval, 3),
        "waiting": one.waiting,
        "freeAt": at + one.hold if one.hold else None,
        "refusedAt": at - one.quiet_for,
        "refusals": one.refusals,
    }


def _node(pid: int, one: NodeEntry, at: float) -> TableRow:
    return {
        "instance": pid,
        "name": one.name,
        "state": one.state,
        "capacity": one.capacity,
        "workers": one.workers,
        "version": one.version,
        "roundTrip": None if one.round_trip is None else round(one.round_trip, 4),
        "heardAt": None if one.heard_ago is None else at - one.heard_ago,
        "memory": _rounded(one.memory),
        "free": _rounded(one.free_memory),
        "load": None if one.load is None else round(one.load, 2),
    }


def _client(pid: int, one: ClientEntry) -> TableRow:
    return {
        "instance": pid,
        "id": one.id,
        "name": one.name,
        "version": one.version,
        "protocol": one.protocol,
        "pid": one.pid,
        "connectedAt": one.connected_at,
        "openCalls": one.open_calls,
        "unread": one.waiting,
    }


def _totals(processes: Iterable[TableRow]) -> TableRow:
    """Return the sums. What commands use is in the figures of their workers, also of those that have ended."""
    local = [row for row in processes if row["node"] is None]
    shares = [(row["cpu"], row["commandsCpu"]) for row in local if row["role"] != COMMAND]
    used = [cpu for pair in shares for cpu in pair if isinstance(cpu, float)]
    held = [memory for row in local if isinstance(memory := row["memory"], int)]
    return {"cpu": round(sum(used), 1) if used else None, "memory": sum(held), "processes": len(local)}


def _sum(*figures: float | None) -> float | None:
    """Return the sum of what is known."""
    known = [figure for figure in figures if figure is not None]
    return round(sum(known), 1) if known else None


def _steady(row: dict[str, object], before: TableRow | None) -> TableRow:
    """Keep the moments of a row that are the same as before."""
    if before is None or row.get("turn") != before.get("turn"):
        return row
    for name in MOMENTS:
        new, old = row.get(name), before.get(name)
        if isinstance(new, float) and isinstance(old, float) and abs(new - old) <= STEADY:
            row[name] = old
    return row


def _safe_row(row: TableRow) -> dict[str, object]:
    return {name: _safe(value) for name, value in row.items()}


def _safe(value: object) -> object:
    """Return a value whose texts can neither control nor hide anything."""
    match value:
        case str():
            return _cleaned(value)
        case list():
            return [_safe(each) for each in value]
        case dict():
            return _safe_row(value)
    return value

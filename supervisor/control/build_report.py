"""The report of a supervisor, built from its present tables. Building it changes nothing."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import msgspec

from greenroom.config.defaults import Limits
from greenroom.protocol.footprint import Footprint
from greenroom.protocol.ids import ConversationId, WorkerId
from greenroom.protocol.instance import Instance
from greenroom.protocol.report import (
    MAX_CONVERSATIONS,
    MAX_DEATHS,
    ClientEntry,
    ConversationEntry,
    CredentialEntry,
    DeathEntry,
    LimitFigures,
    NodeEntry,
    PaceEntry,
    ProcessEntry,
    Report,
    Statistics,
    TelemetryEntry,
    TurnEntry,
    WorkFigures,
    portable,
)
from greenroom.supervisor.conversations.state.conversation import Conversation
from greenroom.supervisor.conversations.state.lifecycle import WITH_PROCESS, LifecycleState
from greenroom.supervisor.processes.engines.engine import ZYGOTE_ID
from greenroom.supervisor.processes.exits import ExitRecord
from greenroom.supervisor.processes.memory_report import SUPERVISOR_ID, ProcessFootprints

_FIRST: Final[frozenset[LifecycleState]] = WITH_PROCESS | {"crashed", "failed"}
"""The states in which a conversation is listed before others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """The sources of a report."""

    instance: Instance
    conversations: Iterable[Conversation]
    """In the order in which they were entered."""
    deaths: Sequence[ExitRecord]
    """Oldest first."""
    pid_of: Callable[[WorkerId], int | None]
    limits: Limits
    statistics: Statistics
    others: tuple[ProcessEntry, ...] = ()
    """Fork server, broker, and the workers that host no conversation."""
    clients: Sequence[ClientEntry] = ()
    """The oldest first."""
    credential: CredentialEntry | None = None
    paces: Sequence[PaceEntry] = ()
    nodes: Sequence[NodeEntry] = ()
    telemetry: Sequence[TelemetryEntry] = ()
    node_pid_of: Callable[[WorkerId], int | None] = lambda _: None
    """Returns the pid that a worker has on its node."""
    holdings: ProcessFootprints = field(default_factory=dict)
    """Footprints as reported by the processes."""
    work: WorkFigures | None = None


def report(tables: Tables, now: float) -> Report:
    """Return the report. `now` is the loop's time."""
    listed, left_out = _choose(tables.conversations)
    deaths = [DeathEntry.model_validate(death) for death in reversed(tables.deaths)]
    last = {death.conversation_id: death for death in reversed(deaths)}
    entries = tuple(_conversation(one, tables, last.get(one.id), now) for one in listed)
    own = ProcessEntry(role="supervisor", pid=tables.instance.pid, state="ready", worker_id=SUPERVISOR_ID)
    hosts = (_host(one, tables, now) for one in listed if one.worker_id is not None)
    zygotes = tuple(_own_zygotes(listed, tables.holdings))
    return Report(
        at=time.time(),
        instance=tables.instance,
        client=next(iter(tables.clients), None),
        clients=tuple(tables.clients),
        statistics=tables.statistics,
        processes=tuple(_holding(entry, tables.holdings) for entry in (own, *tables.others, *hosts, *zygotes)),
        conversations=entries,
        left_out=left_out,
        deaths=tuple(islice(deaths, MAX_DEATHS)),
        credential=tables.credential,
        paces=tuple(tables.paces),
        nodes=tuple(tables.nodes),
        telemetry=tuple(tables.telemetry),
        limits=LimitFigures.model_validate(tables.limits),
        work=tables.work,
    )


def _choose(conversations: Iterable[Conversation]) -> tuple[list[Conversation], int]:
    """Return those to be listed, and how many are not."""
    first: list[Conversation] = []
    others: list[Conversation] = []
    for one in conversations:
        (first if one.state in _FIRST else others).append(one)
    listed = [*first, *reversed(others)][:MAX_CONVERSATIONS]
    return listed, len(first) + len(others) - len(listed)


def _conversation(one: Conversation, tables: Tables, death: DeathEntry | None, now: float) -> ConversationEntry:
    known = {
        "id": ConversationId(one.id),
        "state": one.state,
        "incarnation": one.incarnation,
        "worker_id": one.worker_id,
        "pid": None if one.worker_id is None else tables.pid_of(one.worker_id),
        "turn": _turn(one, now),
        "queued": one.queued,
        "tokens": one.tokens,
        "cost": () if one.spending is None else one.spending.cost,
        "unpriced_tokens": None if one.spending is None else one.spending.unpriced_tokens,
        "approvals": 0 if one.pulse is None else len(one.pulse.questions),
        "restarts": 0 if one.policy is None else one.policy.deaths_in_period(now),
        "idle_for": None if one.rested_at is None or one.running is not None else now - one.rested_at,
        "last_death": death,
        "title": one.title,
        "node": one.node or None,
    }
    return ConversationEntry.model_validate(
        known | ({} if one.placement is None else msgspec.structs.asdict(one.placement))
    )


def _turn(one: Conversation, now: float) -> TurnEntry | None:
    if one.running is None or one.pulse is None:
        return None
    turn, pulse = one.running, one.pulse
    known = {"id": turn.id, "age": now - pulse.started_at, "interrupted": turn.interrupted}
    return TurnEntry.model_validate(msgspec.structs.asdict(pulse.progress) | known)


def _holding(entry: ProcessEntry, holdings: ProcessFootprints) -> ProcessEntry:
    """Return the entry with the footprint that the process has reported, if any."""
    held = None if entry.worker_id is None else holdings.get(entry.worker_id)
    if held is None:
        return entry
    return entry.model_copy(update={"own": portable(held.footprint)})


def _own_zygotes(listed: Iterable[Conversation], holdings: ProcessFootprints) -> Iterator[ProcessEntry]:
    """Return the zygotes of those workers that have one of their own."""
    for one in listed:
        held = None if one.worker_id is None else holdings.get(one.worker_id)
        if held is not None and held.zygote is not None:
            yield ProcessEntry(
                role="zygote",
                pid=None if one.node else held.zygote.pid,
                node=one.node or None,
                node_pid=held.zygote.pid if one.node else None,
                state="restarting" if held.zygote.pid is None else "ready",
                worker_id=ZYGOTE_ID,
                conversation_id=one.id,
                restarts=held.zygote.restarts,
            )


def _host(one: Conversation, tables: Tables, now: float) -> ProcessEntry:
    pulse, worker_id = one.pulse, one.worker_id
    return ProcessEntry(
        role="worker",
        pid=None if worker_id is None else tables.pid_of(worker_id),
        state="leaving" if one.state == "parking" else "hosting",
        worker_id=worker_id,
        conversation_id=one.id,
        node=one.node or None,
        node_pid=None if worker_id is None else tables.node_pid_of(worker_id),
        heard_ago=None if pulse is None else now - pulse.heard_at,
        own=None if pulse is None else Footprint(unsent=pulse.progress.unsent),
    )

"""The source of an instance's report. Imported late, since pydantic takes long to import."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Final, get_args

from greenroom.protocol.ids import WorkerId
from greenroom.protocol.instance import Instance
from greenroom.protocol.internal.broker.broadcasts import CredentialStanding
from greenroom.protocol.report import (
    ConversationFigures,
    CredentialEntry,
    EngineFigures,
    NodeEntry,
    PaceEntry,
    PoolFigures,
    PortFigures,
    ProcessEntry,
    Report,
    Role,
    Statistics,
    StdioFigures,
    TelemetryEntry,
)
from greenroom.supervisor.control.build_report import Tables, report
from greenroom.supervisor.control.work_figures import work_figures
from greenroom.supervisor.conversations.host import ConversationHost
from greenroom.supervisor.conversations.telemetry_records import DeliveryOutcome, Signal, TelemetryRecords
from greenroom.supervisor.frontend.connection import Connection
from greenroom.supervisor.processes.broker_process import BROKER_ID
from greenroom.supervisor.processes.engines.engine import FORK_SERVER_ID, ZYGOTE_ID
from greenroom.supervisor.processes.service_state import ServiceStatus

RAY_ID: Final = WorkerId("ray")


class ReportSource:
    """Reads one server's tables. Runs on its loop."""

    def __init__(self, instance: Instance, host: ConversationHost, connections: Sequence[Connection]) -> None:
        """`connections` are those that are served at the moment, oldest first."""
        self._instance = instance
        self._host, self._tree = host, host.tree
        self._connections = connections

    async def report(self, *, measure: bool) -> Report:
        """Return the report, after a moment in which each process may report its footprint, if it is asked to."""
        tree = self._tree
        holdings = await tree.survey() if measure else tree.last_footprints
        tables = Tables(
            instance=self._instance,
            conversations=self._host.conversations,
            deaths=list(tree.exit_history),
            pid_of=tree.workers.pid_of,
            limits=self._host.options.limits,
            statistics=self._statistics(),
            others=tuple(self._others()),
            holdings=holdings,
            clients=[client for one in self._connections if (client := one.client) is not None],
            credential=_credential(tree.broker.standing),
            paces=[PaceEntry.model_validate(pace) for pace in tree.broker.paces],
            nodes=[] if tree.nodes is None else [NodeEntry.model_validate(view) for view in tree.nodes.views()],
            telemetry=tuple(_telemetry(self._host.telemetry_records)),
            work=work_figures(self._host.conversations.counters, tree.exit_history.counts),
            node_pid_of=_no_pid if tree.nodes is None else tree.nodes.engine.pid_of,
        )
        return report(tables, asyncio.get_running_loop().time())

    def _statistics(self) -> Statistics:
        figures, conversations = self._tree.statistics(), self._host.conversations.statistics()
        router = PortFigures.model_validate(figures.router)
        pipes = [connection.statistics() for connection in self._connections]
        return Statistics(
            stdio=StdioFigures(
                read=sum(pipe.read for pipe in pipes),
                written=sum(pipe.written for pipe in pipes),
                waiting=sum(pipe.waiting for pipe in pipes),
            ),
            worker_router=router.model_copy(update={"paused": conversations.held > 0}),
            pool=PoolFigures.model_validate(figures.pool),
            engine=EngineFigures.model_validate(figures.engine),
            conversations=ConversationFigures.model_validate(conversations),
            open_calls=sum(connection.open_calls for connection in self._connections),
        )

    def _others(self) -> Iterator[ProcessEntry]:
        fork_server = self._tree.fork_server_status
        if fork_server is not None:
            yield _helper("fork_server", FORK_SERVER_ID, fork_server)
        zygote = self._tree.zygote_status
        if zygote is not None and (zygote.pid is not None or zygote.deaths):
            yield _helper("zygote", ZYGOTE_ID, zygote)
        yield _helper("broker", BROKER_ID, self._tree.broker_status)
        ray = None if self._tree.nodes is None else self._tree.nodes.ray_status
        if ray is not None:
            yield _helper("ray", RAY_ID, ray)
        pid_there = _no_pid if self._tree.nodes is None else self._tree.nodes.engine.pid_of
        for worker_id in self._tree.workers.waiting:
            node = self._tree.workers.node_of(worker_id)
            yield ProcessEntry(
                role="worker",
                pid=self._tree.workers.pid_of(worker_id),
                worker_id=worker_id,
                state="ready",
                node=node,
                node_pid=pid_there(worker_id),
            )


def _telemetry(records: TelemetryRecords) -> Iterator[TelemetryEntry]:
    for signal in get_args(Signal):
        sent, failed, dropped = (records.counts[signal, outcome] for outcome in get_args(DeliveryOutcome))
        if sent or failed or dropped:
            failure = records.failures.get(signal, "")
            yield TelemetryEntry(signal=signal, sent=sent, failed=failed, dropped=dropped, failure=failure)


def _no_pid(_: WorkerId) -> None:
    return None


def _helper(role: Role, worker_id: WorkerId, standing: ServiceStatus) -> ProcessEntry:
    return ProcessEntry(
        role=role, pid=standing.pid, state=standing.state, worker_id=worker_id, restarts=standing.deaths
    )


def _credential(standing: CredentialStanding | None) -> CredentialEntry | None:
    if standing is None:
        return None
    return CredentialEntry(
        mode=standing.mode,
        state=standing.state,
        time_left=None if standing.expires_at is None else standing.expires_at - time.time(),
        plan_type=standing.plan_type,
    )

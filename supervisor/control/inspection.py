"""What an operator sees of this instance and may do to it from outside: the handlers behind the control socket."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from greenroom.protocol.errors import GreenroomError
from greenroom.protocol.ids import NodeName
from greenroom.protocol.instance import Instance
from greenroom.runtime.threads.thread_import import import_in_thread
from greenroom.supervisor.control.control import ControlServer, GiveConnection, OnHandOver
from greenroom.supervisor.control.control_messages import (
    ActionDone,
    ActionRefused,
    ApprovalsListed,
    CheckNodeKeys,
    ControlAction,
    ControlAnswer,
    DecideApproval,
    DisconnectClient,
    DrainNode,
    GiveReport,
    InterruptClient,
    InterruptConversation,
    KillConversation,
    ListApprovals,
    MetricsReported,
    WatchConversation,
)
from greenroom.supervisor.control.instances import parents, remove_stale, this_instance
from greenroom.supervisor.conversations.host import ConversationHost
from greenroom.supervisor.conversations.registry import Conversations
from greenroom.supervisor.conversations.state.conversation import Conversation
from greenroom.supervisor.frontend.connection import Connection

if TYPE_CHECKING:
    from greenroom.protocol.report import Report
    from greenroom.supervisor.control.watchers import Watchers

WITH_FOOTPRINTS: Final = GiveReport()
NOT_ALLOWED: Final = "approvals can be decided by its clients alone; `approval_tools` in `[greenroom]` allows more"

REPORT_SOURCE: Final = "greenroom.supervisor.control.report_source"
"""The module that a report needs, and with it pydantic, which takes long to import."""


class Inspection:
    """Answers for one server. Runs on its loop."""

    def __init__(
        self,
        instance: Instance,
        host: ConversationHost,
        connections: Sequence[Connection],
        stop: Callable[[], None],
    ) -> None:
        """`connections` are those that are served at the moment, oldest first; `stop` ends the server."""
        self._instance = instance
        self._host, self._tree = host, host.tree
        self._connections = connections
        self._stop = stop

    async def report(self, request: GiveReport = WITH_FOOTPRINTS) -> "Report":
        """Return the report, after a moment in which each process may report its footprint, if it is asked to."""
        await import_in_thread(REPORT_SOURCE)
        from greenroom.supervisor.control.report_source import ReportSource

        source = ReportSource(self._instance, self._host, self._connections)
        return await source.report(measure=request.measure)

    async def metrics(self) -> MetricsReported:
        """Return all metrics, after a moment in which each process may report its footprint."""
        from greenroom.supervisor.telemetry.collect import MetricsReader

        return MetricsReported(await MetricsReader(self._host, self._connections).read())

    def act(self, action: ControlAction) -> ControlAnswer:
        """Carry out an operator's order."""
        match action:
            case InterruptConversation(conversation_id):
                return self._interrupt(conversation_id)
            case KillConversation(conversation_id):
                return self._kill(conversation_id)
            case DecideApproval():
                return self._decide(action)
            case InterruptClient(client_id):
                return self._interrupt_client(client_id)
            case DisconnectClient(client_id):
                return self._disconnect(client_id)
            case DrainNode(name):
                return self._drain(name)
            case CheckNodeKeys():
                return self._check_node_keys()
            case _:
                self._stop()
                options = self._host.options
                return ActionDone("the instance is leaving", options.limits.drain if options.serves_many else 0.0)

    def list_approvals(self, request: ListApprovals) -> ApprovalsListed | ActionRefused:
        """Tell what waits for a decision of the user."""
        approvals = self._host.approvals
        if approvals is None:
            return ActionRefused(NOT_ALLOWED)
        from greenroom.supervisor.conversations.approval_facts import LONG, SHORT, approval_members

        now, measure = time.time(), LONG if request.full else SHORT
        titles = {one.id: one.title for one in self._host.conversations}
        waiting = approvals.waiting()
        told = [approval_members(asked, titles.get(asked.turn.conversation_id), now, measure) for asked in waiting]
        return ApprovalsListed(told)

    def _decide(self, order: DecideApproval) -> ControlAnswer:
        approvals = self._host.approvals
        if approvals is None:
            return ActionRefused(NOT_ALLOWED)
        from greenroom.supervisor.conversations.approval_facts import decide_approval

        try:
            decide_approval(approvals, order.approval_id, order.choice, order.note, "an operator")
        except GreenroomError as error:
            return ActionRefused(str(error))
        return ActionDone(f"decided: {order.choice}")

    def _interrupt(self, conversation_id: str) -> ControlAnswer:
        conversation = self._find(conversation_id)
        if conversation is None or conversation.running is None:
            return ActionRefused(f"no turn runs in conversation {conversation_id}")
        self._host.conversations.interrupt(conversation.running)
        return ActionDone(f"the turn of conversation {conversation_id} is being stopped")

    def _kill(self, conversation_id: str) -> ControlAnswer:
        conversation = self._find(conversation_id)
        if conversation is None or conversation.worker_id is None:
            return ActionRefused(f"conversation {conversation_id} has no process")
        self._tree.workers.kill(conversation.worker_id)
        return ActionDone(f"the process of conversation {conversation_id} is being killed")

    def _drain(self, name: str) -> ControlAnswer:
        """Let the conversations of a node go elsewhere: the idle now, others once their turns end, or are ended."""
        nodes, limit = self._tree.nodes, self._host.options.limits.drain
        count = len(self._host.conversations.on_node(NodeName(name)))
        if nodes is None or not nodes.drain(name):
            return ActionRefused(f"no node of the name {name} has joined this instance")
        return ActionDone(f"node {name} takes no more work, and leaves once its conversations have ({count})", limit)

    def _check_node_keys(self) -> ControlAnswer:
        nodes = self._tree.nodes
        dropped = 0 if nodes is None else nodes.drop_revoked()
        return ActionDone(f"nodes without a key are dropped ({dropped})")

    def _interrupt_client(self, client_id: str) -> ControlAnswer:
        connection = self._client(client_id)
        count = 0 if connection is None else self._host.conversations.interrupt_of(connection.channel)
        if not count:
            return ActionRefused(f"no turn of {client_id} runs or waits")
        return ActionDone(f"the turns of {client_id} are being stopped ({count})")

    def _disconnect(self, client_id: str) -> ControlAnswer:
        connection = self._client(client_id)
        if connection is None:
            return ActionRefused(f"{client_id} is not connected")
        connection.disconnect()
        return ActionDone(f"{client_id} is being disconnected")

    def _client(self, client_id: str) -> Connection | None:
        return next((one for one in self._connections if one.id == client_id), None)

    def _find(self, conversation_id: str) -> Conversation | None:
        return next((one for one in self._host.conversations if one.id == conversation_id), None)


class WatchersOnDemand:
    """Those who watch conversations, where there are any (`greenroom.supervisor.control.control.Watching`)."""

    def __init__(self, conversations: Conversations) -> None:
        self._conversations = conversations
        self._watchers: Watchers | None = None

    def ask(self, request: WatchConversation) -> ActionRefused | GiveConnection:
        """Return what goes on with the connection, or why it is refused."""
        if self._watchers is None:
            from greenroom.supervisor.control.watchers import Watchers

            self._watchers = Watchers(self._conversations)
        return self._watchers.ask(request)

    def close(self) -> None:
        """End all their connections."""
        if self._watchers is not None:
            self._watchers.close()


def control_server(
    host: ConversationHost,
    connections: Sequence[Connection],
    stop: Callable[[], None],
    on_hand_over: OnHandOver | None = None,
) -> ControlServer:
    """Return the control socket, not listening yet, and remove the files of instances that were killed."""
    remove_stale(parents(host.environment))
    instance = this_instance(host.options.codex_home, host.options.engine)
    inspection = Inspection(instance, host, connections, stop)
    return ControlServer(
        host.tree.directory,
        instance,
        inspection.report,
        inspection.act,
        inspection.list_approvals,
        on_hand_over,
        inspection.metrics,
        WatchersOnDemand(host.conversations),
    )

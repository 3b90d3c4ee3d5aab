"""What one MCP client is served with, beyond the handshake: its tool calls and all further methods.

Imported while the processes start (`greenroom.supervisor.startup.server`).
"""

from collections.abc import Callable, Mapping
from functools import cache, partial

from greenroom.protocol.jsonrpc import Request, RequestId, Response
from greenroom.protocol.mcp.handshake import ElicitationMode
from greenroom.supervisor.conversations.host import ConversationHost
from greenroom.supervisor.conversations.jobs.worktrees import WorktreeRelease
from greenroom.supervisor.conversations.state.conversation import Conversation
from greenroom.supervisor.frontend.client_channel import ClientChannel
from greenroom.supervisor.frontend.conversation_api.account_methods import AccountMethods
from greenroom.supervisor.frontend.conversation_api.conversation_methods import ConversationMethods
from greenroom.supervisor.frontend.conversation_api.saved_methods import SavedMethods
from greenroom.supervisor.frontend.conversation_api.utility_methods import UtilityMethods
from greenroom.supervisor.frontend.elicitor import Elicitor
from greenroom.supervisor.frontend.job_methods import job_methods
from greenroom.supervisor.frontend.mcp.calls.parted_calls import PartedCalls
from greenroom.supervisor.frontend.mcp.calls.relayed_requests import RelayedRequests
from greenroom.supervisor.frontend.mcp.calls.task_keeper import TaskKeeper
from greenroom.supervisor.frontend.mcp.calls.task_store import TaskStore
from greenroom.supervisor.frontend.mcp.calls.tasks import Tasks
from greenroom.supervisor.frontend.mcp.calls.tool_calls import ToolCallHandler
from greenroom.supervisor.frontend.mcp.change_notifier import ChangeNotifier
from greenroom.supervisor.frontend.mcp.client_log import ClientLog
from greenroom.supervisor.frontend.mcp.completions import Completions
from greenroom.supervisor.frontend.mcp.front_state import FrontState
from greenroom.supervisor.frontend.mcp.prompts import Prompts
from greenroom.supervisor.frontend.mcp.protocol_version import ProtocolVersion
from greenroom.supervisor.frontend.mcp.resources import Resources
from greenroom.supervisor.frontend.mcp.saved_conversations import SavedConversations
from greenroom.supervisor.frontend.mcp.state_key import state_key
from greenroom.supervisor.frontend.mcp.subscriptions import Subscriptions
from greenroom.supervisor.frontend.mcp.tools.followed_turns import FollowedTurns
from greenroom.supervisor.frontend.mcp.tools.session_tools import SessionTools
from greenroom.supervisor.frontend.mcp.tools.tool_requests import AnswerToolCall
from greenroom.supervisor.frontend.mcp.tools.wait_tool import WaitTool
from greenroom.supervisor.frontend.openai_auth import requires_openai_auth
from greenroom.supervisor.frontend.request_queue import WAITING, RequestQueue


class McpServices:
    """The services of one client. `stop` and then `close` them."""

    def __init__(
        self,
        channel: ClientChannel,
        host: ConversationHost,
        can_ask: Callable[[ElicitationMode], bool],
        agreed_version: Callable[[], str | None],
    ) -> None:
        options, conversations, jobs, broker = host.options, host.conversations, host.jobs, host.tree.broker
        home, limits = options.codex_home, options.limits
        self._host, self._channel = host, channel
        self._reading = RequestQueue(channel)
        self._jobs = RequestQueue(channel, WAITING)
        self._live = RequestQueue(channel, WAITING, waits_for_reader=False)
        self._elicitor = elicitor = Elicitor(
            channel, can_ask, limits.approval_timeout, others_decide=host.approvals is not None
        )
        self._subscriptions = Subscriptions(channel)
        keeper = host.shared(TaskKeeper, lambda: TaskKeeper(TaskStore(home)))
        parted = host.shared(PartedCalls, PartedCalls)
        self._relayed = relayed = RelayedRequests(channel, host.others)
        self._tasks = Tasks(channel, keeper, self._subscriptions, conversations.interrupt, limits.task_after, relayed)
        self.tool_calls = ToolCallHandler(
            channel,
            conversations,
            elicitor,
            self._tasks,
            parted,
            options.events,
            limits.client_calls if options.serves_many else limits.open_calls,
            lambda: host.open_calls() + keeper.orphans + parted.orphans < limits.open_calls,
            cache(partial(state_key, home)),
            host.started if options.session_tools else None,
            relayed,
        )
        self._notifier = ChangeNotifier(channel, self._subscriptions)
        era, saved = ProtocolVersion(channel.peer, agreed_version), SavedConversations(home, conversations)
        self._resources = Resources(self._reading, saved, self._notifier, era)
        self._prompts = Prompts(home, self._reading, self._notifier, era, self._prompts_changed)
        self._log = ClientLog(self._reading, channel)
        self._accounts = AccountMethods(
            channel, self._live, broker, options.preferred_auth, partial(requires_openai_auth, host)
        )
        talk = ConversationMethods(conversations, elicitor)
        worktrees = WorktreeRelease(home, jobs)
        stored = SavedMethods(home, conversations, jobs, talk, channel, worktrees)
        utilities = UtilityMethods(jobs, broker, channel)
        has_tools = options.session_tools
        turns = FollowedTurns(saved, host.started)
        self._waiting = WaitTool(self._live, turns)
        self.further_tools: Mapping[str, AnswerToolCall] = {
            **(
                SessionTools(channel, self._reading, turns, conversations, elicitor.waits, worktrees).tools
                if has_tools
                else {}
            ),
            **(self._waiting.tools if has_tools else {}),
            **self._approval_tools(host, channel),
        }
        """The tools besides the two, by name, as far as they are switched on."""
        self.handlers: Mapping[str, Callable[[Request], None]] = {
            **self._accounts.handlers,
            **self._resources.handlers,
            **self._prompts.handlers,
            **self._log.handlers,
            **Completions(home, options.config_overrides, self._reading, saved).handlers,
            **self._subscriptions.handlers,
            **self._tasks.handlers,
            **self._live.handlers(talk.methods),
            **self._jobs.handlers({**stored.methods, **utilities.methods, **job_methods(jobs)}),
        }
        """The methods besides `tools/call`."""
        conversations.turn_listeners.add(self._turn_ended)
        conversations.leave_listeners.add(self.tool_calls.client_left)
        host.tree.broadcasts.subscribe(self._accounts.receive)

    def cancel(self, request_id: RequestId) -> None:
        """Cancel a request of the client; unknown ids are ignored."""
        self.tool_calls.cancel(request_id)
        self._waiting.cancel(request_id)
        self._relayed.cancel(request_id)
        self._subscriptions.cancel(request_id)

    def answer(self, response: Response) -> bool:
        """Handle the client's answer to a question; return whether the question exists."""
        return self._elicitor.answer(response)

    def holds_task(self, task_id: str) -> bool:
        """Tell whether a task is under way in this process."""
        return self._tasks.holds(task_id)

    def is_at_rest(self) -> bool:
        """Tell whether nothing is open but streams of notifications, which the client opens again."""
        return (
            self._channel.peer.open_requests == self._subscriptions.open_streams
            and self.tool_calls.is_at_rest
            and not self._elicitor.open_questions
            and not self._host.conversations.is_busy_for(self._channel)
        )

    def end_streams(self) -> None:
        """End the streams of notifications."""
        self._subscriptions.close()

    def state(self, initialize: bytes | None, next_id: int, received: bytes) -> FrontState:
        """Return the state of the client, which is at rest."""
        lists, resources = self._notifier.lists, self._notifier.resources
        return FrontState(initialize, self._channel.cwd, next_id, received, self._log.wanted, lists, resources)

    def resume(self, state: FrontState) -> None:
        """Serve a client on as another process has left it."""
        for name in state.lists:
            self._notifier.note_reading(name)
        for uri in state.resources:
            self._notifier.subscribe(uri)
        if state.log_level is not None:
            self._log.listen(state.log_level)

    async def stop(self, reason: str) -> None:
        """Stop notifications, and answer what is being worked on outside conversations."""
        self._host.conversations.turn_listeners.discard(self._turn_ended)
        self._host.tree.broadcasts.unsubscribe(self._accounts.receive)
        self._prompts.close()
        self._log.close()
        self._relayed.close(reason)
        for requests in (self._reading, self._live, self._jobs):
            await requests.close(reason)

    async def close(self) -> None:
        """Wait until ended tasks are on the disk, and end the streams of notifications. All turns must have ended."""
        self._host.conversations.leave_listeners.discard(self.tool_calls.client_left)
        await self._tasks.close()
        self._subscriptions.close()

    def _approval_tools(self, host: ConversationHost, channel: ClientChannel) -> Mapping[str, AnswerToolCall]:
        if host.approvals is None:
            return {}
        from greenroom.supervisor.frontend.mcp.tools.approval_tools import ApprovalTools

        return ApprovalTools(self._live, host.approvals, host.conversations, lambda: channel.user_agent).tools

    def _prompts_changed(self) -> None:
        self._notifier.changed("prompts")

    def _turn_ended(self, conversation: Conversation, is_first: bool) -> None:
        self._resources.turn_ended(conversation, is_first)

"""What the server needs to accept calls; imported while its processes start (`.processes`)."""

import os
from collections.abc import Callable, Coroutine, Mapping
from functools import cache, partial

from greenroom.config.settings import ConversationOverrides, resolve
from greenroom.protocol.errors import ConfigError
from greenroom.protocol.mcp.handshake import ElicitationMode
from greenroom.protocol.mcp.peer import McpPeer
from greenroom.protocol.report import ClientEntry
from greenroom.supervisor.control.control import ControlServer
from greenroom.supervisor.control.inspection import Inspection
from greenroom.supervisor.control.instances import parents, remove_stale, this_instance
from greenroom.supervisor.conversations.host import ConversationHost
from greenroom.supervisor.frontend.conversation_api.account_methods import AccountMethods
from greenroom.supervisor.frontend.conversation_api.conversation_methods import ConversationMethods
from greenroom.supervisor.frontend.conversation_api.saved_methods import SavedMethods
from greenroom.supervisor.frontend.conversation_api.utility_methods import UtilityMethods
from greenroom.supervisor.frontend.elicitor import Elicitor
from greenroom.supervisor.frontend.mcp.features import ClientFeatures
from greenroom.supervisor.frontend.mcp.front import Front
from greenroom.supervisor.frontend.mcp.state_key import state_key
from greenroom.supervisor.frontend.mcp.subscriptions import Subscriptions
from greenroom.supervisor.frontend.mcp.task_store import TaskStore
from greenroom.supervisor.frontend.mcp.tasks import Tasks
from greenroom.supervisor.frontend.mcp.tool_calls import ToolCallHandler
from greenroom.supervisor.frontend.request_queue import RequestQueue
from greenroom.supervisor.frontend.stdio import StdioStatistics
from greenroom.supervisor.options import ServerOptions


def make_tool_calls(
    peer: McpPeer,
    write: Callable[[bytes], None],
    host: ConversationHost,
    options: ServerOptions,
    can_ask: Callable[[ElicitationMode], bool],
    tasks: Tasks,
) -> ToolCallHandler:
    """Return the reception that takes the client's tool calls to the conversations."""
    limits = options.limits
    return ToolCallHandler(
        peer,
        write,
        host.conversations,
        Elicitor(peer, write, can_ask, limits.approval_timeout),
        options.events,
        limits.open_calls,
        limits.approval_timeout,
        cache(partial(state_key, options.codex_home)),
        tasks,
    )


def make_subscriptions(peer: McpPeer, write: Callable[[bytes], None]) -> Subscriptions:
    """Return the streams by which clients without a handshake get notifications."""
    return Subscriptions(peer, write)


def make_tasks(
    peer: McpPeer,
    write: Callable[[bytes], None],
    host: ConversationHost,
    options: ServerOptions,
    subscriptions: Subscriptions,
) -> Tasks:
    """Return the calls that continue as tasks."""
    store = TaskStore(options.codex_home)
    return Tasks(peer, write, store, subscriptions, host.conversations.interrupt, options.limits.task_after)


def make_features(
    peer: McpPeer,
    write: Callable[[bytes], None],
    drained: Callable[[], Coroutine[None, None, None]],
    host: ConversationHost,
    options: ServerOptions,
    front: Front,
    subscriptions: Subscriptions,
) -> ClientFeatures:
    """Return what the client finds beside the two tools."""
    return ClientFeatures(peer, write, drained, host.conversations, options, lambda: front.version, subscriptions)


def make_accounts(
    peer: McpPeer,
    write: Callable[[bytes], None],
    host: ConversationHost,
    options: ServerOptions,
    environment: Mapping[str, str],
) -> AccountMethods:
    """Return the credential's methods, subscribed to the broker's broadcasts."""

    def requires_openai_auth() -> bool | None:
        try:
            settings = resolve(
                options.codex_home, options.config_overrides, ConversationOverrides(), os.getcwd(), environment
            )
        except ConfigError:
            return None
        return settings.provider.requires_openai_auth

    accounts = AccountMethods(peer, write, host.tree.broker, options.preferred_auth, requires_openai_auth)
    host.tree.tell_broadcasts(accounts.heard)
    return accounts


def make_api(
    peer: McpPeer,
    write: Callable[[bytes], None],
    host: ConversationHost,
    tool_calls: ToolCallHandler,
    options: ServerOptions,
    user_agent: Callable[[], str],
) -> RequestQueue:
    """Return the conversation API."""
    talk = ConversationMethods(host.conversations, tool_calls.elicitor, write)
    stored = SavedMethods(options.codex_home, host.conversations, host.jobs, talk, write)
    chores = UtilityMethods(host.jobs, host.tree.broker, options.config_overrides, user_agent)
    return RequestQueue(peer, write, {**talk.methods, **stored.methods, **chores.methods})


def make_control(
    options: ServerOptions,
    environment: Mapping[str, str],
    host: ConversationHost,
    tool_calls: ToolCallHandler,
    stdio: Callable[[], StdioStatistics],
    front: Front,
    stop: Callable[[], None],
) -> ControlServer:
    """Return the control socket, not listening yet, and remove the files of instances that were killed."""
    remove_stale(parents(environment))
    instance = this_instance(options.codex_home, options.engine)

    def client() -> ClientEntry | None:
        info = front.client
        return None if info is None else ClientEntry(name=info.name, version=info.version, protocol=front.version)

    inspection = Inspection(instance, options, host, tool_calls, stdio, client, stop)
    return ControlServer(host.tree.directory, instance, inspection.report, inspection.act)

"""What `greenroom mcp-server` needs to take calls; imported while its processes begin
(`greenroom.supervisor.startup.processes`)."""

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
from greenroom.supervisor.frontend.conversation_api.account_methods import Accounts
from greenroom.supervisor.frontend.conversation_api.conversation_methods import Talk
from greenroom.supervisor.frontend.conversation_api.saved_methods import Stored
from greenroom.supervisor.frontend.conversation_api.utility_methods import Chores
from greenroom.supervisor.frontend.elicitor import Elicitor
from greenroom.supervisor.frontend.mcp.features import Features
from greenroom.supervisor.frontend.mcp.front import Front
from greenroom.supervisor.frontend.mcp.state_key import state_key
from greenroom.supervisor.frontend.mcp.subscriptions import Subscriptions
from greenroom.supervisor.frontend.mcp.task_store import TaskStore
from greenroom.supervisor.frontend.mcp.tasks import Tasks
from greenroom.supervisor.frontend.mcp.tool_calls import Reception
from greenroom.supervisor.frontend.request_queue import Answering
from greenroom.supervisor.frontend.stdio import StdioStatistics
from greenroom.supervisor.options import ServerOptions
from greenroom.supervisor.processes.tree import SupervisionTree


def make_reception(
    peer: McpPeer,
    write: Callable[[bytes], None],
    tree: SupervisionTree,
    options: ServerOptions,
    can_ask: Callable[[ElicitationMode], bool],
    tasks: Tasks,
) -> Reception:
    """Return the reception that takes the client's tool calls to the tree."""
    limits = options.limits
    return Reception(
        peer,
        write,
        tree.conversations,
        Elicitor(peer, write, can_ask, limits.approval_patience),
        options.events,
        limits.open_calls,
        limits.approval_patience,
        cache(partial(state_key, options.codex_home)),
        tasks,
    )


def make_subscriptions(peer: McpPeer, write: Callable[[bytes], None]) -> Subscriptions:
    """Return the streams by which clients without a handshake hear of changes."""
    return Subscriptions(peer, write)


def make_tasks(
    peer: McpPeer,
    write: Callable[[bytes], None],
    tree: SupervisionTree,
    options: ServerOptions,
    subscriptions: Subscriptions,
) -> Tasks:
    """Return the calls that go on as tasks."""
    store = TaskStore(options.codex_home)
    return Tasks(peer, write, store, subscriptions, tree.conversations.interrupt, options.limits.task_after)


def make_features(
    peer: McpPeer,
    write: Callable[[bytes], None],
    drained: Callable[[], Coroutine[None, None, None]],
    tree: SupervisionTree,
    options: ServerOptions,
    front: Front,
    subscriptions: Subscriptions,
) -> Features:
    """Return what the client finds beside the two tools."""
    return Features(peer, write, drained, tree.conversations, options, lambda: front.version, subscriptions)


def make_accounts(
    peer: McpPeer,
    write: Callable[[bytes], None],
    tree: SupervisionTree,
    options: ServerOptions,
    environment: Mapping[str, str],
) -> Accounts:
    """Return the credential's methods, and let them hear what the broker has to say."""

    def requires_openai_auth() -> bool | None:
        try:
            settings = resolve(
                options.codex_home, options.config_overrides, ConversationOverrides(), os.getcwd(), environment
            )
        except ConfigError:
            return None
        return settings.provider.requires_openai_auth

    accounts = Accounts(peer, write, tree.broker, options.preferred_auth, requires_openai_auth)
    tree.tell_broadcasts(accounts.heard)
    return accounts


def make_api(
    peer: McpPeer,
    write: Callable[[bytes], None],
    tree: SupervisionTree,
    reception: Reception,
    options: ServerOptions,
    user_agent: Callable[[], str],
) -> Answering:
    """Return the conversation API."""
    talk = Talk(tree.conversations, reception.elicitor, write)
    stored = Stored(options.codex_home, tree.conversations, tree.errands, talk, write)
    chores = Chores(tree.errands, tree.broker, options.config_overrides, user_agent)
    return Answering(peer, write, {**talk.methods, **stored.methods, **chores.methods})


def make_control(
    options: ServerOptions,
    environment: Mapping[str, str],
    tree: SupervisionTree,
    reception: Reception,
    stdio: Callable[[], StdioStatistics],
    front: Front,
    stop: Callable[[], None],
) -> ControlServer:
    """Return the control socket, not listening yet, and clear away what instances that were killed left behind."""
    remove_stale(parents(environment))
    instance = this_instance(options.codex_home, options.engine)

    def client() -> ClientEntry | None:
        info = front.client
        return None if info is None else ClientEntry(name=info.name, version=info.version, protocol=front.version)

    inspection = Inspection(instance, options, tree, reception, stdio, client, stop)
    return ControlServer(tree.directory, instance, inspection.report, inspection.act)

"""What `greenroom mcp-server` needs to take calls; imported while its processes begin (`supervisor.processes`)."""

import os
from collections.abc import Callable, Coroutine, Mapping
from functools import cache, partial

from config.settings import ConversationOverrides, resolve
from protocol.errors import ConfigError
from protocol.mcp import ElicitationMode
from protocol.mcp_peer import McpPeer
from protocol.report import ClientEntry
from supervisor.accounts import Accounts
from supervisor.answering import Answering
from supervisor.api.chores import Chores
from supervisor.api.stored import Stored
from supervisor.api.talk import Talk
from supervisor.elicitor import Elicitor
from supervisor.features.features import Features
from supervisor.front import Front
from supervisor.inspection import Inspection
from supervisor.options import ServerOptions
from supervisor.reception import Reception
from supervisor.state_key import state_key
from supervisor.status.control import ControlServer
from supervisor.status.instances import parents, remove_stale, this_instance
from supervisor.stdio import StdioStatistics
from supervisor.subscriptions import Subscriptions
from supervisor.task_store import TaskStore
from supervisor.tasks import Tasks
from supervisor.tree import SupervisionTree


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

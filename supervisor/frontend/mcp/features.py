"""Everything that a client finds beside tool calls, joined for one connection."""

from collections.abc import Callable, Coroutine, Mapping

from greenroom.protocol.jsonrpc import Request
from greenroom.protocol.mcp.peer import McpPeer
from greenroom.supervisor.conversations.conversation import Conversation
from greenroom.supervisor.conversations.registry import Conversations
from greenroom.supervisor.frontend.mcp.change_notifier import ChangeNotifier
from greenroom.supervisor.frontend.mcp.client_log import ClientLog
from greenroom.supervisor.frontend.mcp.completions import Completions
from greenroom.supervisor.frontend.mcp.feature_requests import FeatureRequests
from greenroom.supervisor.frontend.mcp.prompts import Prompts
from greenroom.supervisor.frontend.mcp.protocol_version import ProtocolVersion
from greenroom.supervisor.frontend.mcp.resources import Resources
from greenroom.supervisor.frontend.mcp.saved_conversations import SavedConversations
from greenroom.supervisor.frontend.mcp.session_tools import SessionTools
from greenroom.supervisor.frontend.mcp.subscriptions import Subscriptions
from greenroom.supervisor.options import ServerOptions


class ClientFeatures:
    """The services of one connection. `close` it."""

    def __init__(
        self,
        peer: McpPeer,
        write: Callable[[bytes], None],
        drained: Callable[[], Coroutine[None, None, None]],
        conversations: Conversations,
        options: ServerOptions,
        agreed_version: Callable[[], str | None],
        subscriptions: Subscriptions,
    ) -> None:
        home, era = options.codex_home, ProtocolVersion(peer, agreed_version)
        self._answering = FeatureRequests(peer, write, drained)
        self._notifier = ChangeNotifier(write, subscriptions)
        library = SavedConversations(home, conversations)
        self._resources = Resources(self._answering, library, self._notifier, era)
        self._prompts = Prompts(home, self._answering, self._notifier, era, self._prompts_changed)
        self._log = ClientLog(self._answering, write)
        completions = Completions(home, options.config_overrides, self._answering, library)
        self.handlers: Mapping[str, Callable[[Request], None]] = {
            **self._resources.handlers,
            **self._prompts.handlers,
            **self._log.handlers,
            **completions.handlers,
        }
        self.tools = (
            SessionTools(peer, write, self._answering, library, conversations).tools if options.session_tools else {}
        )
        conversations.on_turn_end = self._turn_ended

    async def close(self) -> None:
        """Answer what is open, and stop notifications."""
        self._prompts.close()
        self._log.close()
        await self._answering.close()

    def _prompts_changed(self) -> None:
        self._notifier.changed("prompts")

    def _turn_ended(self, conversation: Conversation, is_first: bool) -> None:
        self._resources.turn_ended(conversation, is_first)

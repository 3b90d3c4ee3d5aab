"""What one client of this protocol is served with, once there are conversations.

Imported while the processes start (`greenroom.supervisor.startup.server`).
"""

from collections.abc import Callable, Mapping

from greenroom.protocol.jsonrpc import Request, Response
from greenroom.supervisor.conversations.host import ConversationHost
from greenroom.supervisor.frontend.app_server.channel import AppServerChannel
from greenroom.supervisor.frontend.app_server.questions import Questions
from greenroom.supervisor.frontend.app_server.saved_threads import SavedThreads
from greenroom.supervisor.frontend.app_server.stored_methods import StoredMethods
from greenroom.supervisor.frontend.app_server.thread_methods import ThreadMethods
from greenroom.supervisor.frontend.app_server.thread_sessions import ThreadSessions
from greenroom.supervisor.frontend.app_server.turn_methods import TurnMethods
from greenroom.supervisor.frontend.request_queue import WAITING, RequestQueue


class AppServerServices:
    """The services of one client. `stop` and then `close` them."""

    def __init__(self, channel: AppServerChannel, host: ConversationHost) -> None:
        conversations = host.conversations
        self._live = RequestQueue(channel, WAITING, waits_for_reader=False)
        self._questions = Questions(channel, host.options.limits.approval_timeout)
        sessions = ThreadSessions(conversations, channel)
        saved = SavedThreads(host.options.codex_home)
        stored = StoredMethods(conversations, sessions, saved, channel)
        threads = ThreadMethods(conversations, sessions, saved, stored, self._questions, channel)
        methods = {
            **threads.methods,
            **stored.methods,
            **TurnMethods(conversations, sessions, self._questions).methods,
        }
        self.handlers: Mapping[str, Callable[[Request], None]] = self._live.handlers(methods)

    def answer(self, response: Response) -> bool:
        """Handle the client's answer to a question; return whether the question exists."""
        return self._questions.answer(response)

    async def stop(self, reason: str) -> None:
        """Answer what is being worked on outside conversations."""
        await self._live.close(reason)

    async def close(self) -> None:
        """Settle the rest. All turns must have ended."""

"""What one client of this protocol is served with, once there are conversations.

Imported while the processes start (`greenroom.supervisor.startup.server`).
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from greenroom.protocol.jsonrpc import Request, Response
from greenroom.supervisor.conversations.host import ConversationHost
from greenroom.supervisor.conversations.worktrees import WorktreeRelease
from greenroom.supervisor.frontend.app_server.channel import AppServerChannel
from greenroom.supervisor.frontend.app_server.file_search import described
from greenroom.supervisor.frontend.app_server.questions import Questions
from greenroom.supervisor.frontend.app_server.saved_threads import SavedThreads
from greenroom.supervisor.frontend.app_server.settings_methods import SettingsMethods
from greenroom.supervisor.frontend.app_server.stored_methods import StoredMethods
from greenroom.supervisor.frontend.app_server.thread_methods import ThreadMethods
from greenroom.supervisor.frontend.app_server.thread_sessions import ThreadSessions
from greenroom.supervisor.frontend.app_server.turn_methods import TurnMethods
from greenroom.supervisor.frontend.conversation_api.account_methods import AccountMethods
from greenroom.supervisor.frontend.conversation_api.utility_methods import UtilityMethods
from greenroom.supervisor.frontend.openai_auth import requires_openai_auth
from greenroom.supervisor.frontend.request_queue import WAITING, RequestQueue

ACCOUNT: Final = ("account/read", "account/login/start", "account/login/cancel", "account/logout")
"""Methods about the account that this protocol has in common with the conversation API."""


class AppServerServices:
    """The services of one client. `stop` and then `close` them."""

    def __init__(self, channel: AppServerChannel, host: ConversationHost) -> None:
        conversations = host.conversations
        self._host = host
        self._live = RequestQueue(channel, WAITING, waits_for_reader=False)
        self._jobs = RequestQueue(channel, WAITING)
        self._questions = Questions(channel, host.options.limits.approval_timeout)
        sessions = ThreadSessions(conversations, channel)
        saved = SavedThreads(host.options.codex_home)
        stored = StoredMethods(
            conversations, sessions, saved, channel, WorktreeRelease(host.options.codex_home, host.jobs)
        )
        threads = ThreadMethods(conversations, sessions, saved, stored, self._questions, channel)
        methods = {
            **threads.methods,
            **stored.methods,
            **TurnMethods(conversations, sessions, self._questions).methods,
        }
        settings = SettingsMethods(host.options.codex_home, host.options.config_overrides, host.jobs, channel)
        utilities = UtilityMethods(host.jobs, host.tree.broker, host.options.config_overrides, channel)
        self._accounts = AccountMethods(
            channel, self._live, host.tree.broker, host.options.preferred_auth, partial(requires_openai_auth, host)
        )
        self.handlers: Mapping[str, Callable[[Request], None]] = {
            **self._live.handlers(methods),
            **self._jobs.handlers(
                {
                    **settings.methods,
                    "model/list": utilities.methods["model/list"],
                    "fuzzyFileSearch": described(utilities.methods["fuzzyFileSearch"]),
                }
            ),
            **{name: self._accounts.handlers[name] for name in ACCOUNT},
        }
        host.tree.broadcasts.subscribe(self._accounts.receive)

    def answer(self, response: Response) -> bool:
        """Handle the client's answer to a question; return whether the question exists."""
        return self._questions.answer(response)

    async def stop(self, reason: str) -> None:
        """Answer what is being worked on outside conversations."""
        self._host.tree.broadcasts.unsubscribe(self._accounts.receive)
        for requests in (self._live, self._jobs):
            await requests.close(reason)

    async def close(self) -> None:
        """Settle the rest. All turns must have ended."""

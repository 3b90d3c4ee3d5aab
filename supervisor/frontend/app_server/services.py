"""What one client of this protocol is served with, once there are conversations.

Imported while the processes start (`greenroom.supervisor.startup.server`).
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from greenroom.protocol.jsonrpc import Request, Response
from greenroom.supervisor.conversations.host import ConversationHost
from greenroom.supervisor.conversations.jobs.worktrees import WorktreeRelease
from greenroom.supervisor.frontend.app_server.account.service_methods import AccountServiceMethods
from greenroom.supervisor.frontend.app_server.channel import AppServerChannel
from greenroom.supervisor.frontend.app_server.commands.command_methods import CommandMethods
from greenroom.supervisor.frontend.app_server.file_search import described_search
from greenroom.supervisor.frontend.app_server.files.file_methods import FileMethods
from greenroom.supervisor.frontend.app_server.files.watch_methods import WatchMethods
from greenroom.supervisor.frontend.app_server.goals.goal_methods import GoalMethods
from greenroom.supervisor.frontend.app_server.goals.pursuit import GoalPursuit
from greenroom.supervisor.frontend.app_server.mcp_servers.login_methods import McpLoginMethods
from greenroom.supervisor.frontend.app_server.mcp_servers.server_methods import McpServerMethods
from greenroom.supervisor.frontend.app_server.questions import Questions
from greenroom.supervisor.frontend.app_server.saved_threads import SavedThreads
from greenroom.supervisor.frontend.app_server.settings.settings_methods import SettingsMethods
from greenroom.supervisor.frontend.app_server.stored_methods import StoredMethods
from greenroom.supervisor.frontend.app_server.thread_methods import ThreadMethods
from greenroom.supervisor.frontend.app_server.thread_sessions import ThreadSessions
from greenroom.supervisor.frontend.app_server.turn_methods import TurnMethods
from greenroom.supervisor.frontend.conversation_api.account_methods import AccountMethods
from greenroom.supervisor.frontend.conversation_api.utility_methods import UtilityMethods
from greenroom.supervisor.frontend.job_methods import job_methods
from greenroom.supervisor.frontend.openai_auth import requires_openai_auth
from greenroom.supervisor.frontend.request_queue import WAITING, RequestQueue

ACCOUNT: Final = ("account/read", "account/login/start", "account/login/cancel", "account/logout")
"""Methods about the account that this protocol has in common with the conversation API."""


class AppServerServices:
    """The services of one client. `stop` and then `close` them."""

    def __init__(self, channel: AppServerChannel, host: ConversationHost) -> None:
        options, conversations = host.options, host.conversations
        home, overrides = options.codex_home, options.config_overrides
        self._host = host
        self._live = RequestQueue(channel, WAITING, waits_for_reader=False)
        self._long = RequestQueue(channel, WAITING, waits_for_reader=False)
        """The requests that may take as long as a command or a tool: they hold up no others."""
        self._jobs = RequestQueue(channel, WAITING)
        self._service = RequestQueue(channel)
        """The requests for which the account's service is asked: few, so that a slow one leaves workers for others."""
        self._questions = Questions(channel, options.limits.approval_timeout)
        self._accounts = AccountMethods(
            channel, self._live, host.tree.broker, options.preferred_auth, partial(requires_openai_auth, host)
        )
        host.tree.broadcasts.subscribe(self._accounts.receive)
        sessions = ThreadSessions(conversations, channel)
        saved = SavedThreads(home)
        stored = StoredMethods(conversations, sessions, saved, channel, WorktreeRelease(home, host.jobs))
        commands = CommandMethods(channel, host.open_jobs)
        self._watches = WatchMethods(channel)
        utilities = UtilityMethods(host.jobs, host.tree.broker, channel)
        pursuit = GoalPursuit(conversations, sessions, self._questions)
        live = {
            **ThreadMethods(conversations, sessions, saved, stored, self._questions, channel, pursuit).methods,
            **GoalMethods(conversations, sessions, pursuit).methods,
            **stored.methods,
            **TurnMethods(conversations, sessions, self._questions).methods,
            **commands.methods,
            **McpLoginMethods(host.tree.broker, sessions, channel).methods,
        }
        jobs = {
            **SettingsMethods(home, overrides, host.jobs, channel).methods,
            **FileMethods(host.jobs, sessions).methods,
            **self._watches.methods,
            "model/list": job_methods(host.jobs)["model/list"],
            "fuzzyFileSearch": described_search(utilities.methods["fuzzyFileSearch"], channel.directory),
        }
        self.handlers: Mapping[str, Callable[[Request], None]] = {
            **self._live.handlers(live),
            **self._long.handlers({**commands.long, **McpServerMethods(conversations, sessions).methods}),
            **self._jobs.handlers(jobs),
            **self._service.handlers(AccountServiceMethods(host.jobs, channel).methods),
            **{name: self._accounts.handlers[name] for name in ACCOUNT},
        }

    def answer(self, response: Response) -> bool:
        """Handle the client's answer to a question; return whether the question exists."""
        return self._questions.answer(response)

    async def stop(self, reason: str) -> None:
        """Answer what is being worked on outside conversations."""
        self._host.tree.broadcasts.unsubscribe(self._accounts.receive)
        for requests in (self._long, self._live, self._service, self._jobs):
            await requests.close(reason)
        self._watches.close()

    async def close(self) -> None:
        """Settle the rest. All turns must have ended."""

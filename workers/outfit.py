"""What commands of a conversation get by its settings: environment, shell and sandbox; and the tools around them."""

import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from config.environment import UNATTENDED, may_be_seen, shell_environment, unattended
from config.settings import Settings
from protocol.elicitation import Decision
from protocol.ids import ConversationId
from runtime.spawn import OWN_VARIABLES
from workers.commands.login_shells import LoginShells
from workers.commands.user_shell import shell_for_text
from workers.context import network_access
from workers.sandbox.policy import Surroundings
from workers.toolbox import Toolbox
from workers.tools.context import Emit, Shell

_THREAD_ID: Final = "CODEX_THREAD_ID"
_OFFLINE: Final = "CODEX_SANDBOX_NETWORK_DISABLED"


def fit_out(
    settings: Settings,
    conversation_id: ConversationId,
    runtime_directory: str,
    ask: Callable[[bytes], Awaitable[Decision]],
    emit: Emit,
    on_commands_ended: Callable[[], None],
) -> Toolbox:
    """Return the toolbox of a conversation. `runtime_directory` holds our sockets; the rest is as in `Toolbox`."""
    environment = _environment(settings)
    surroundings = Surroundings(
        cwd=settings.cwd,
        codex_home=settings.home,
        runtime_directory=runtime_directory,
        tmpdir=environment.get("TMPDIR", ""),
    )
    return Toolbox(
        settings.approval_policy,
        settings.sandbox_policy,
        surroundings,
        environment,
        _shell(settings, conversation_id, environment),
        _login_shells(settings),
        settings.tool_output_token_limit,
        ask,
        emit,
        on_commands_ended,
    )


def _environment(settings: Settings) -> dict[str, str]:
    environment = shell_environment(settings.shell_environment_policy, os.environ)
    for name in _withheld(settings):
        environment.pop(name, None)
    if not network_access(settings):
        environment[_OFFLINE] = "1"
    return environment


def _shell(settings: Settings, conversation_id: ConversationId, environment: Mapping[str, str]) -> Shell:
    return Shell(
        program=shell_for_text(os.environ),
        environment={**unattended(settings.shell_environment_policy, environment), _THREAD_ID: conversation_id},
        may_login=settings.allow_login_shell,
        fixed=frozenset({*UNATTENDED, _THREAD_ID}),
        longest_poll_ms=settings.background_terminal_max_timeout,
    )


def _login_shells(settings: Settings) -> LoginShells:
    policy, withheld = settings.shell_environment_policy, _withheld(settings)
    return LoginShells(lambda name: name not in withheld and may_be_seen(policy, name), policy.set.keys())


def _withheld(settings: Settings) -> frozenset[str]:
    """Return names that no policy hands on to commands."""
    return settings.provider.credential_variables | OWN_VARIABLES.keys()

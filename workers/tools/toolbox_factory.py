"""Builds a conversation's toolbox from its settings: environment, shell and sandbox."""

import os
from collections.abc import Mapping
from typing import Final

from greenroom.config.home import home_name
from greenroom.config.secrets.other_homes import other_homes
from greenroom.config.settings import Settings
from greenroom.config.tables.environment import UNATTENDED, may_be_seen, unattended
from greenroom.protocol.ids import ConversationId
from greenroom.sessions.storage.cleanup_journal import CleanupJournal
from greenroom.workers.exec.environment import command_environment, withheld_variables
from greenroom.workers.exec.login_shells import LoginShells
from greenroom.workers.exec.user_shell import shell_for_text
from greenroom.workers.sandbox.policy import Surroundings
from greenroom.workers.sandbox.ray_token import ray_directory
from greenroom.workers.tools.context import Shell
from greenroom.workers.tools.toolbox import Toolbox, TurnRules
from greenroom.workers.tools.types import ToolHost

_THREAD_ID: Final = "CODEX_THREAD_ID"


def build_toolbox(
    settings: Settings,
    conversation_id: ConversationId,
    runtime_directory: str,
    host: ToolHost,
    journal: CleanupJournal,
) -> Toolbox:
    """Return the toolbox of a conversation. `runtime_directory` contains the sockets; the rest is as in `Toolbox`."""
    where = workplace(settings, conversation_id, runtime_directory)
    return Toolbox(where, _login_shells(settings), host, journal)


def workplace(settings: Settings, conversation_id: ConversationId, runtime_directory: str) -> TurnRules:
    """Return the directory and rules of the tools under these settings."""
    environment = command_environment(settings)
    return TurnRules(
        approval_policy=settings.approval_policy,
        sandbox_policy=settings.sandbox_policy,
        surroundings=Surroundings(
            cwd=settings.cwd,
            codex_home=settings.home,
            runtime_directory=runtime_directory,
            tmpdir=environment.get("TMPDIR", ""),
            home_name=home_name(os.environ),
            sockets=settings.unix_sockets,
            ray_directory=ray_directory(),
            other_homes=other_homes(settings.home, os.environ),
        ),
        environment=environment,
        shell=_shell(settings, conversation_id, environment),
        rules=settings.rules,
        output_tokens=settings.tool_output_token_limit,
    )


def _shell(settings: Settings, conversation_id: ConversationId, environment: Mapping[str, str]) -> Shell:
    return Shell(
        program=shell_for_text(os.environ),
        environment={**unattended(settings.shell_environment_policy, environment), _THREAD_ID: conversation_id},
        may_login=settings.allow_login_shell,
        fixed=frozenset({*UNATTENDED, _THREAD_ID}),
        longest_poll_ms=settings.background_terminal_max_timeout,
    )


def _login_shells(settings: Settings) -> LoginShells:
    policy, withheld = settings.shell_environment_policy, withheld_variables(settings)
    return LoginShells(lambda name: name not in withheld and may_be_seen(policy, name), policy.set.keys())

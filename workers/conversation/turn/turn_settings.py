"""The settings of one conversation, and of turns that override some of them."""

import os
from collections.abc import Sequence

import msgspec

from greenroom.config.path_map import PathMap
from greenroom.config.paths import require_directory, resolve_path
from greenroom.config.settings import ConversationOverrides, Settings, resolve_settings
from greenroom.config.tables.sandbox import ConfinementPolicy, WorkspaceWritePolicy
from greenroom.protocol.errors import ConfigError
from greenroom.protocol.internal.worker.operations import TurnSandbox, TurnSettings


class ConversationSettings:
    """The settings that a conversation was opened with, and their sources."""

    def __init__(
        self, home: str, cli: Sequence[str], overrides: ConversationOverrides, paths: PathMap | None = None
    ) -> None:
        """Read `config.toml` in `home`. `cli` are assignments of the command line. Raises `ConfigError`.

        `paths`: where a node has the directories that turns name, if this is one.
        """
        self._home = home
        self._paths = paths
        self._cli = cli
        self.overrides = overrides
        self.value = self._resolve(overrides)

    def for_turn(self, wanted: TurnSettings | None, output_schema: bytes | None = None) -> Settings:
        """Return the settings of a turn with these overrides. Raises `ConfigError`.

        `output_schema` is the JSON Schema of its last message, as JSON.
        """
        settings = self.value
        if output_schema is not None:
            settings = msgspec.structs.replace(settings, output_schema=_schema(output_schema))
        if wanted is None:
            return settings
        if wanted.model != settings.model:
            other = self._resolve(msgspec.structs.replace(self.overrides, model=wanted.model))
            settings = msgspec.structs.replace(
                settings,
                model=other.model,
                model_family=other.model_family,
                reasoning_effort=other.reasoning_effort,
                verbosity=other.verbosity,
                tool_output_token_limit=other.tool_output_token_limit,
            )
        cwd = resolve_path(settings.cwd, wanted.cwd, os.environ)
        if self._paths is not None:
            cwd = self._paths.there(cwd) or cwd
        require_directory(cwd, "cwd")
        return msgspec.structs.replace(
            settings,
            cwd=cwd,
            approval_policy=wanted.approval_policy,
            reviewer=wanted.reviewer or settings.reviewer,
            sandbox_policy=turn_policy(wanted.sandbox_policy, cwd),
            reasoning_effort=settings.reasoning_effort if wanted.effort is None else wanted.effort,
            reasoning_summary=settings.reasoning_summary if wanted.summary is None else wanted.summary,
        )

    def _resolve(self, overrides: ConversationOverrides) -> Settings:
        return resolve_settings(self._home, self._cli, overrides, os.getcwd(), os.environ)


def _schema(output_schema: bytes) -> dict[str, object]:
    try:
        return msgspec.json.decode(output_schema, type=dict[str, object])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ConfigError(f"the output schema is no JSON object: {error}") from None


def turn_policy(sandbox: TurnSandbox, cwd: str) -> ConfinementPolicy:
    """Return the policy of a turn in a directory. Raises `ConfigError`."""
    policy: ConfinementPolicy = msgspec.convert(msgspec.structs.asdict(sandbox), ConfinementPolicy)
    if not isinstance(policy, WorkspaceWritePolicy):
        return policy
    roots = tuple(resolve_path(cwd, root, os.environ) for root in policy.writable_roots)
    return msgspec.structs.replace(policy, writable_roots=roots)

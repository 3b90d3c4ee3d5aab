"""The three sandbox policies, distinguished by `type`."""

from typing import ClassVar, Literal, TypeAlias

from greenroom.config.section import Section, Strings


class ReadOnlyPolicy(Section, frozen=True, tag_field="type", tag="read-only"):
    """Everything may be read and nothing written; no network."""

    type: ClassVar[Literal["read-only"]] = "read-only"


class WorkspaceWritePolicy(Section, frozen=True, tag_field="type", tag="workspace-write"):
    """Like read-only, but the working directory and a few others are writable. Also `sandbox_workspace_write`."""

    type: ClassVar[Literal["workspace-write"]] = "workspace-write"
    writable_roots: Strings = ()
    """Further directories; absolute once the settings are resolved."""
    network_access: bool = False
    exclude_tmpdir_env_var: bool = False
    """Whether `$TMPDIR` is not writable."""
    exclude_slash_tmp: bool = False
    """Whether `/tmp` is not writable."""


class DangerFullAccessPolicy(Section, frozen=True, tag_field="type", tag="danger-full-access"):
    """No sandbox at all."""

    type: ClassVar[Literal["danger-full-access"]] = "danger-full-access"


ConfinementPolicy: TypeAlias = ReadOnlyPolicy | WorkspaceWritePolicy | DangerFullAccessPolicy


def allows_network(policy: ConfinementPolicy) -> bool:
    """Tell whether commands may use the network."""
    return isinstance(policy, DangerFullAccessPolicy) or (
        isinstance(policy, WorkspaceWritePolicy) and policy.network_access
    )

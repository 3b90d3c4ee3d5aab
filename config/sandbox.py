"""What commands may do to the machine: the three policies, told apart by `type`."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from config.section import Section, Strings


class ReadOnly(Section):
    """Everything may be read, nothing written, and there is no network."""

    type: Literal["read-only"] = "read-only"


class WorkspaceWrite(Section):
    """As read-only, but the working directory and a few others may be written. Also `sandbox_workspace_write`."""

    type: Literal["workspace-write"] = "workspace-write"
    writable_roots: Strings = ()
    """Further directories; absolute once the settings are resolved."""
    network_access: bool = False
    exclude_tmpdir_env_var: bool = False
    """Whether `$TMPDIR` is not writable."""
    exclude_slash_tmp: bool = False
    """Whether `/tmp` is not writable."""


class DangerFullAccess(Section):
    """No sandbox at all."""

    type: Literal["danger-full-access"] = "danger-full-access"


SandboxPolicy: TypeAlias = Annotated[ReadOnly | WorkspaceWrite | DangerFullAccess, Field(discriminator="type")]

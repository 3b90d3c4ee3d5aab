"""The permission profiles that clients may name in place of a sandbox: one for each sandbox mode. Free of I/O."""

from collections.abc import Mapping
from typing import Final

from greenroom.protocol.app_server.settings import PermissionProfile
from greenroom.protocol.jsonrpc import INVALID_REQUEST
from greenroom.protocol.policy import SandboxMode
from greenroom.supervisor.frontend.request_params import RefusedError

_MODES: Final[Mapping[str, SandboxMode]] = {
    ":read-only": "read-only",
    ":workspace": "workspace-write",
    ":danger-full-access": "danger-full-access",
}
PROFILES: Final = (
    PermissionProfile(id=":read-only", allowed=True, description="Commands may write nothing."),
    PermissionProfile(id=":workspace", allowed=True, description="Commands may write in the workspace."),
    PermissionProfile(id=":danger-full-access", allowed=True, description="Commands are not confined."),
)
"""What clients are told of them."""


def profile_mode(profile: str | None, sandbox: object = None) -> SandboxMode | None:
    """Return the sandbox mode of a profile, `None` for none. Raises `RefusedError`, also where there is a `sandbox`."""
    if profile is None:
        return None
    if sandbox is not None:
        raise RefusedError(INVALID_REQUEST, "a permission profile cannot be combined with a sandbox")
    mode = _MODES.get(profile)
    if mode is None:
        raise RefusedError(INVALID_REQUEST, f"unknown permission profile: {profile}")
    return mode

"""The messages of a conversation as the model reads them, as pure functions.

The only I/O is the reading of an image that the user names, by a function that the caller passes.
"""

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from greenroom.protocol.items import JsonObject
from greenroom.protocol.policy import ApprovalPolicy, SandboxMode
from greenroom.workers.model.image import ImageError, checked_url, data_url

TURN_ABORTED: Final = (
    "<turn_aborted>\nThe user stopped the previous turn. What it had started may be done in part only: look before you "
    "rely on it.\n</turn_aborted>"
)

ReadFile: TypeAlias = Callable[[str], bytes]
"""Returns the content of a file, or raises `OSError`."""


class EnvironmentContext(msgspec.Struct, frozen=True, kw_only=True):
    """The environment in which the agent works. Members that are `None` are left out of the text."""

    cwd: str | None = None
    shell: str | None = None
    current_date: str | None = None
    """`YYYY-MM-DD`, in the time zone below."""
    timezone: str | None = None
    """IANA name."""
    approval_policy: ApprovalPolicy | None = None
    sandbox_mode: SandboxMode | None = None
    network_access: bool | None = None


class Permissions(msgspec.Struct, frozen=True, kw_only=True):
    """The rights of commands, and the policy for approvals."""

    approval_policy: ApprovalPolicy
    sandbox_mode: SandboxMode
    network_access: bool = False
    writable_roots: tuple[str, ...] = ()
    """Every directory that `workspace-write` lets commands write to."""
    approved_prefixes: tuple[tuple[str, ...], ...] = ()
    """Prefixes of commands that need no further approval."""


_SANDBOX_TEXTS: Final[Mapping[SandboxMode, str]] = {
    "read-only": "Commands run in a sandbox in which they may read files but change none.",
    "workspace-write": "Commands run in a sandbox in which they may read all files, and write in the writable roots.",
    "danger-full-access": "Commands run without a sandbox and may do whatever the user may do.",
}
_APPROVAL_TEXTS: Final[Mapping[ApprovalPolicy, str]] = {
    "never": "Nobody can be asked for consent. Never request escalation: the request would be refused. Work within the "
    "limits, and where that is impossible say so in your answer.",
    "on-request": "You may ask the user for consent to run one command without the sandbox: use the command tool's "
    "parameters for escalation and justify it in one sentence. Ask only where the task needs it.",
    "on-failure": "Commands run in the sandbox first. The user is asked for consent to repeat one without it when it "
    "fails there; you need not ask.",
    "untrusted": "The user is asked for consent to every command that is not known to be harmless. You need not ask.",
}


def instructions_text(base: str, patch_guide: str | None = None) -> str:
    """Return `instructions` of a request. `patch_guide` tells of the patch language where no tool does."""
    return base if patch_guide is None else f"{base}\n{patch_guide}"


def permissions_text(permissions: Permissions) -> str:
    """Return the text on the rights of commands, and on which of them need an approval."""
    lines = [
        f"Sandbox mode: `{permissions.sandbox_mode}`. {_SANDBOX_TEXTS[permissions.sandbox_mode]}",
        f"Network access: {_network(permissions.network_access)}.",
        f"Approval policy: `{permissions.approval_policy}`. {_APPROVAL_TEXTS[permissions.approval_policy]}",
    ]
    if permissions.sandbox_mode == "workspace-write" and permissions.writable_roots:
        lines.insert(1, "Writable roots: " + ", ".join(f"`{root}`" for root in permissions.writable_roots) + ".")
    if permissions.approved_prefixes:
        prefixes = ", ".join(f"`{' '.join(prefix)}`" for prefix in permissions.approved_prefixes)
        lines.append(f"Commands that begin like one of these are approved already: {prefixes}.")
    return "\n".join(("<permissions instructions>", *lines, "</permissions instructions>"))


def user_instructions_text(text: str, cwd: str) -> str:
    """Return the text of AGENTS.md files in its envelope."""
    return f"# AGENTS.md instructions for {cwd}\n\n<INSTRUCTIONS>\n{text}\n</INSTRUCTIONS>"


def environment_text(environment: EnvironmentContext) -> str:
    """Return the text on the environment, one line for each member that is known."""
    network = environment.network_access
    lines = {
        "cwd": environment.cwd,
        "shell": environment.shell,
        "current_date": environment.current_date,
        "timezone": environment.timezone,
        "approval_policy": environment.approval_policy,
        "sandbox_mode": environment.sandbox_mode,
        "network_access": None if network is None else _network(network),
    }
    elements = [f"  <{name}>{_escaped(text)}</{name}>" for name, text in lines.items() if text is not None]
    return "\n".join(("<environment_context>", *elements, "</environment_context>"))


def message(role: str, *texts: str | None) -> JsonObject | None:
    """Return a message with one part for each text that is neither `None` nor blank; `None` if there is none."""
    parts = [_text_part(text) for text in texts if text is not None and text.strip()]
    return {"type": "message", "role": role, "content": parts} if parts else None


def turn_aborted_message() -> JsonObject:
    """Return the message that reports to the model that the user stopped a turn."""
    return _user([_text_part(TURN_ABORTED)])


def read_nothing(path: str) -> bytes:
    """Refuse to read a file."""
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)


def input_message(items: Sequence[Mapping[str, object]], read_file: ReadFile = read_nothing) -> JsonObject:
    """Return the message of input items, in their order; items of an unknown kind are left out.

    An image that cannot be read is replaced by a text with the reason.
    """
    parts = [_input_part(item, read_file) for item in items]
    return _user([part for part in parts if part is not None])


def _user(parts: list[JsonObject]) -> JsonObject:
    return {"type": "message", "role": "user", "content": parts}


def _text_part(text: str) -> JsonObject:
    return {"type": "input_text", "text": text}


def _image_part(url: str) -> JsonObject:
    return {"type": "input_image", "image_url": url}


def _input_part(item: Mapping[str, object], read_file: ReadFile) -> JsonObject | None:
    match item:
        case {"type": "text", "text": str(text)}:
            return _text_part(text)
        case {"type": "image", "image_url": str(url)}:
            return _inline_image_part(url)
        case {"type": "local_image", "path": str(path)}:
            return _local_image_part(path, read_file)
        case _:
            return None


def _local_image_part(path: str, read_file: ReadFile) -> JsonObject:
    try:
        return _image_part(data_url(read_file(path)))
    except (OSError, ValueError) as error:
        return _missing_image(f"The image `{path}`", getattr(error, "strerror", None) or str(error))


def _inline_image_part(url: str) -> JsonObject:
    try:
        return _image_part(checked_url(url))
    except ImageError as error:
        return _missing_image("An image", str(error))


def _missing_image(what: str, reason: str) -> JsonObject:
    return _text_part(f"({what} could not be attached: {reason}.)")


def _network(enabled: bool) -> str:
    return "enabled" if enabled else "restricted"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

"""The one hierarchy of errors. A class carries a stable `kind` for programs; its text is for people."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Literal, get_args

ErrorKind = Literal[
    "internal",
    "config",
    "start_failed",
    "worker_crashed",
    "turn_aborted",
    "model_error",
    "unauthorized",
    "usage_limit",
    "prompt_too_long",
    "approval_unavailable",
    "overloaded",
    "session_busy",
    "session_unknown",
    "session_unreadable",
    "session_unsaved",
]
"""Every value that `structuredContent.error.kind` can take."""

ERROR_KINDS: frozenset[str] = frozenset(get_args(ErrorKind))


class GreenroomError(Exception):
    """Base of every error that Greenroom raises on purpose. `str(error)` says what happened and what to do next."""

    kind: ClassVar[ErrorKind] = "internal"

    facts: Mapping[str, int] = MappingProxyType({})
    """Numbers that programs go by, as further members of `structuredContent.error`."""


class ConfigError(GreenroomError):
    """A setting is unknown, of the wrong type or contradicts another; the text names key, value and what is allowed."""

    kind: ClassVar[ErrorKind] = "config"


class StartError(GreenroomError):
    """A conversation could not be started for a reason other than its configuration."""

    kind: ClassVar[ErrorKind] = "start_failed"


class ModelError(GreenroomError):
    """The model's server refused, failed or broke off, and retrying is over."""

    kind: ClassVar[ErrorKind] = "model_error"


class UsageLimitError(ModelError):
    """The account behind the credential has used up what it may use."""

    kind: ClassVar[ErrorKind] = "usage_limit"


class UnauthorizedError(ModelError):
    """There is no credential for the model, or it was refused."""

    kind: ClassVar[ErrorKind] = "unauthorized"


class PromptTooLongError(GreenroomError):
    """What the user said cannot fit into the model's context window, so it was not sent. Sizes are in characters."""

    kind: ClassVar[ErrorKind] = "prompt_too_long"

    def __init__(self, characters: int, max_characters: int) -> None:
        super().__init__(
            f"The message has {characters:,} characters, and the model's context window leaves room for about "
            f"{max_characters:,}. It was not sent; shorten it, or put the material into files that the agent can read."
        )
        self.facts = {"characters": characters, "max_characters": max_characters}


class SessionFileError(GreenroomError):
    """A session file cannot be read back into a conversation."""

    kind: ClassVar[ErrorKind] = "session_unreadable"


class SessionUnknownError(GreenroomError):
    """There is no conversation under an id: not in this run, and no session file."""

    kind: ClassVar[ErrorKind] = "session_unknown"


class SessionBusyError(GreenroomError):
    """Another process writes the session file; the text names it."""

    kind: ClassVar[ErrorKind] = "session_busy"


class LocalProtocolError(GreenroomError):
    """We broke a protocol, for instance by answering one request twice. A bug of ours."""


class RemoteProtocolError(GreenroomError):
    """The other side sent something that is no message of the protocol. The text never repeats what it was."""

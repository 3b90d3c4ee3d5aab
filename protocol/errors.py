"""The hierarchy of errors. A class has a stable `kind` for programs; its text is for people."""

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
    """Base of all errors that Greenroom raises. `str(error)` says what happened and what to do next."""

    kind: ClassVar[ErrorKind] = "internal"

    facts: Mapping[str, int] = MappingProxyType({})
    """Numbers for programs, as further members of `structuredContent.error`."""


class ConfigError(GreenroomError):
    """A setting is unknown, of the wrong type or contradicts another; the text names key, value and what is allowed."""

    kind: ClassVar[ErrorKind] = "config"


class SandboxUnavailableError(GreenroomError):
    """This system cannot confine commands. The text names what is missing."""

    kind: ClassVar[ErrorKind] = "config"


class StartError(GreenroomError):
    """A conversation could not be started for a reason other than its configuration."""

    kind: ClassVar[ErrorKind] = "start_failed"


class ModelError(GreenroomError):
    """The model's server rejected the request, failed or broke off, and retries are exhausted."""

    kind: ClassVar[ErrorKind] = "model_error"


class UsageLimitError(ModelError):
    """The account has reached its usage limit."""

    kind: ClassVar[ErrorKind] = "usage_limit"


class UnauthorizedError(ModelError):
    """There is no credential for the model, or it was rejected."""

    kind: ClassVar[ErrorKind] = "unauthorized"


class PromptTooLongError(GreenroomError):
    """The user's message cannot fit into the model's context window and was not sent. Sizes are in characters."""

    kind: ClassVar[ErrorKind] = "prompt_too_long"

    def __init__(self, characters: int, max_characters: int) -> None:
        super().__init__(
            f"The message has {characters:,} characters, and the model's context window leaves room for about "
            f"{max_characters:,}. It was not sent; shorten it, or put the material into files that the agent can read."
        )
        self.facts = {"characters": characters, "max_characters": max_characters}


class ApprovalOverError(GreenroomError):
    """An approval that is to be decided does not wait any more, or never did."""

    kind: ClassVar[ErrorKind] = "approval_unavailable"


class NodeLacksDirectoryError(StartError):
    """A node does not have the directory of a conversation; the text names both."""

    def __init__(self, node: str, directory: str) -> None:
        super().__init__(
            f"Failed to start Codex session: node {node} lacks the directory {directory}. Make it available there, or "
            f"map it in `[greenroom.nodes.{node}.paths]`."
        )
        self.directory = directory


class SessionFileError(GreenroomError):
    """A session file cannot be read."""

    kind: ClassVar[ErrorKind] = "session_unreadable"


class SessionUnknownError(GreenroomError):
    """There is no conversation with this id: not in this run, and no session file."""

    kind: ClassVar[ErrorKind] = "session_unknown"


class SessionBusyError(GreenroomError):
    """Another process writes the session file; the text names it."""

    kind: ClassVar[ErrorKind] = "session_busy"


class LocalProtocolError(GreenroomError):
    """This side violated a protocol, for instance by answering one request twice. A bug in Greenroom."""


class RemoteProtocolError(GreenroomError):
    """The other side sent an invalid message. The text never repeats its content."""

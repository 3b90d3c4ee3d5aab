"""What jobs are given, are told while they run, and report. Bytes travel as base64.

The params of a job name it, and with it the module of `greenroom.workers.jobs` that does it. Those of jobs that serve a
method as it is are the params of the method, beside its other structs.
"""

from typing import ClassVar, Literal, Protocol, TypeAlias

from msgspec import UNSET, Raw, Struct, UnsetType

from greenroom.protocol.ids import ConversationId

StreamName: TypeAlias = Literal["stdout", "stderr"]


class JobParams(Protocol):
    """The params of a job: a struct, which is sent as JSON."""

    job: ClassVar[str]
    """The name of the job: that of its module, with hyphens."""


class ReleaseWorktree(Struct, frozen=True):
    """A conversation whose worktree is to go."""

    job: ClassVar[str] = "release-worktree"

    conversation_id: ConversationId


class Confined(Struct, frozen=True, kw_only=True):
    """What happens in a sandbox of the user's settings."""

    cwd: str | None
    """`None`: the server's directory."""
    sandbox_policy: dict[str, object] | None = None
    """`None`: that of the configuration."""


class WindowSize(Struct, frozen=True):
    """The size of a terminal in character cells."""

    rows: int
    columns: int


class CommandExec(Confined, frozen=True, kw_only=True):
    """A command to run for a client."""

    job: ClassVar[str] = "command-exec"

    command: tuple[str, ...]
    timeout_ms: int | None
    """`None` for no limit."""
    environment: dict[str, str | None]
    """Changes of the environment; `None` removes a variable."""
    output_cap: int | None
    """Bytes passed on of each stream; `None` for no limit."""
    terminal: WindowSize | None = None
    """`None`: no terminal."""
    reads_input: bool = False
    streams_output: bool = False
    """Whether output is reported as it comes, and is not in the result."""


class CommandInput(Struct, frozen=True, kw_only=True):
    """What the job `command-exec` is told: input, its end, or another size of the terminal."""

    number: int
    """Tells several apart in the reports."""
    data: bytes = b""
    is_last: bool = False
    size: WindowSize | None = None


class CommandOutput(Struct, frozen=True, kw_only=True, tag="output"):
    """A report of the job `command-exec`: output of a command."""

    stream: StreamName
    data: bytes
    is_capped: bool
    """Whether the rest of the stream is dropped."""


class InputTaken(Struct, frozen=True, kw_only=True, tag="taken"):
    """A report of the job `command-exec`: input was written, or the size was set."""

    number: int
    """That of the `CommandInput`."""


CommandReport: TypeAlias = CommandOutput | InputTaken


class CommandExecResult(Struct, frozen=True, kw_only=True, rename="camel"):
    """Result of the job `command-exec`."""

    exit_code: int
    """128 and the signal's number for a command that a signal has ended, 124 for one that took too long."""
    stdout: str
    stderr: str


FileOperationName: TypeAlias = Literal[
    "readFile", "writeFile", "createDirectory", "getMetadata", "readDirectory", "remove", "copy"
]


class FileOperation(Confined, frozen=True, kw_only=True):
    """An operation on files to carry out for a client."""

    job: ClassVar[str] = "file-operation"

    operation: FileOperationName
    path: str
    """Absolute; what is copied where it is `copy`."""
    destination: str = ""
    recursive: bool = False
    force: bool = False
    data: bytes = b""


class FileFault(Struct, frozen=True, kw_only=True):
    """Why an operation on files came to nothing."""

    text: str
    is_invalid: bool
    """Whether it does not fit what it is asked of; else the system refused it."""


class FileOutcome(Struct, frozen=True, kw_only=True):
    """Result of the job `file-operation`. Exactly one of the members is set."""

    result: Raw | UnsetType = UNSET
    """What the client is answered, a JSON object."""
    fault: FileFault | None = None

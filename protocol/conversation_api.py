"""The conversation API: params of its requests, and their translation for the worker.

Unknown members are ignored. Invalid params raise `msgspec.ValidationError`, whose text says where.
"""

from typing import Annotated, ClassVar, Final, Literal, TypeAlias
from uuid import UUID

import msgspec
from msgspec import Meta, Struct, field

from greenroom.protocol.ids import ConversationId
from greenroom.protocol.internal.worker.operations import TurnSandbox, TurnSettings
from greenroom.protocol.policy import ApprovalPolicy, SandboxMode

# Which values are valid is decided by the model's server, which reports it.
RequestedEffort: TypeAlias = Annotated[str, Meta(min_length=1)]
RequestedSummary: TypeAlias = Annotated[str, Meta(min_length=1)]
TimeoutMilliseconds: TypeAlias = Annotated[int, Meta(ge=0)]

EXEC_APPROVAL: Final = "execCommandApproval"
PATCH_APPROVAL: Final = "applyPatchApproval"

_encode: Final = msgspec.json.Encoder().encode


class NewConversation(Struct, frozen=True, rename="camel"):
    """Params of `newConversation`, and the overrides of `resumeConversation`."""

    model: str | None = None
    profile: str | None = None
    cwd: str | None = None
    approval_policy: ApprovalPolicy | None = None
    sandbox: SandboxMode | None = None
    config: dict[str, msgspec.Raw] | None = None
    base_instructions: str | None = None
    include_plan_tool: bool | None = None

    def overrides(self) -> bytes:
        """Return them as the JSON of `greenroom.config.settings.ConversationOverrides`."""
        members = msgspec.structs.asdict(self)
        members["sandbox_mode"] = members.pop("sandbox")
        return _encode({name: value for name, value in members.items() if value is not None})


class _TextData(Struct, frozen=True):
    text: str


class _ImageData(Struct, frozen=True):
    image_url: str


class _LocalImageData(Struct, frozen=True):
    path: str


class TextItem(Struct, frozen=True, tag="text", tag_field="type"):
    """A text of the user."""

    data: _TextData


class ImageItem(Struct, frozen=True, tag="image", tag_field="type"):
    """An image by its URL, which may contain the image itself."""

    data: _ImageData


class LocalImageItem(Struct, frozen=True, tag="localImage", tag_field="type"):
    """An image in a file."""

    data: _LocalImageData


InputItem: TypeAlias = TextItem | ImageItem | LocalImageItem
_WORKER_TYPES: Final[dict[type[InputItem], str]] = {TextItem: "text", ImageItem: "image", LocalImageItem: "local_image"}


def input_items(items: tuple[InputItem, ...]) -> bytes:
    """Return input in the form for workers: a JSON array of flat items."""
    return _encode([{"type": _WORKER_TYPES[type(item)], **msgspec.structs.asdict(item.data)} for item in items])


class Addressee(Struct, frozen=True, rename="camel"):
    """Params of `interruptConversation` and `addConversationListener`, and base of others."""

    conversation_id: UUID

    @property
    def id(self) -> ConversationId:
        """The id in canonical form."""
        return ConversationId(str(self.conversation_id))


class SendUserMessage(Addressee, frozen=True, rename="camel"):
    """Params of `sendUserMessage`."""

    items: tuple[InputItem, ...]


class SandboxPolicy(Struct, frozen=True):
    """A sandbox policy, tagged by `mode` as in 2025 or by `type` as since then."""

    mode: SandboxMode | None = None
    type: SandboxMode | None = None
    writable_roots: tuple[str, ...] = ()
    network_access: bool = False
    exclude_tmpdir_env_var: bool = False
    exclude_slash_tmp: bool = False

    def __post_init__(self) -> None:
        """Raise an error if there is no tag."""
        if self.mode is None and self.type is None:
            raise ValueError("a sandbox policy has a `mode`")

    def for_worker(self) -> dict[str, object]:
        """Return the policy tagged by `type`, with only the members of this type."""
        members = msgspec.structs.asdict(self)
        kind = members.pop("mode") or self.type
        return {**members, "type": kind} if kind == "workspace-write" else {"type": kind}


class SendUserTurn(Addressee, frozen=True, rename="camel"):
    """Params of `sendUserTurn`."""

    items: tuple[InputItem, ...]
    cwd: str
    approval_policy: ApprovalPolicy
    sandbox_policy: SandboxPolicy
    model: str
    summary: RequestedSummary
    effort: RequestedEffort | None = None

    def settings(self) -> TurnSettings:
        """Return the settings of the turn."""
        return TurnSettings(
            cwd=self.cwd,
            approval_policy=self.approval_policy,
            sandbox_policy=msgspec.convert(self.sandbox_policy.for_worker(), TurnSandbox),
            model=self.model,
            effort=self.effort,
            summary=self.summary,
        )


class RemoveListener(Struct, frozen=True, rename="camel"):
    """Params of `removeConversationListener`."""

    subscription_id: UUID


class ListConversations(Struct, frozen=True, rename="camel"):
    """Params of `listConversations`."""

    job: ClassVar[str] = "list-sessions"

    page_size: Annotated[int, Meta(ge=0)] | None = None
    cursor: str | None = None


class ConversationSummary(Struct, frozen=True, rename="camel"):
    """Params of `getConversationSummary`. One of the two says which."""

    job: ClassVar[str] = "conversation-summary"

    conversation_id: UUID | None = None
    rollout_path: str | None = None


class ResumeConversation(Struct, frozen=True):
    """Params of `resumeConversation`."""

    path: str
    overrides: NewConversation | None = None


class ArchiveConversation(Addressee, frozen=True, rename="camel"):
    """Params of `archiveConversation`."""

    job: ClassVar[str] = "archive-session"

    rollout_path: str


class SetDefaultModel(Struct, frozen=True, rename="camel"):
    """Params of `setDefaultModel`. Absent members are removed from the file."""

    job: ClassVar[str] = "set-default-model"

    model: str | None = None
    reasoning_effort: RequestedEffort | None = None


class ExecOneOffCommand(Struct, frozen=True, rename="camel"):
    """Params of `execOneOffCommand`."""

    command: tuple[str, ...]
    timeout_ms: TimeoutMilliseconds | None = None
    cwd: str | None = None
    sandbox_policy: SandboxPolicy | None = None


class FuzzyFileSearch(Struct, frozen=True, rename="camel"):
    """Params of `fuzzyFileSearch`."""

    job: ClassVar[str] = "search-files"

    query: str
    roots: tuple[str, ...]
    cancellation_token: str | None = None


class GitDiffToRemote(Struct, frozen=True):
    """Params of `gitDiffToRemote`."""

    job: ClassVar[str] = "diff-to-remote"

    cwd: str


class ListModels(Struct, frozen=True, rename="camel"):
    """Params of `model/list`."""

    job: ClassVar[str] = "list-models"

    cursor: str | None = None
    limit: Annotated[int, Meta(ge=0)] | None = None
    include_hidden: bool | None = None


class ReasoningEffort(Struct, frozen=True, rename="camel"):
    """How much a model may be asked to think."""

    reasoning_effort: str
    description: str = ""


class ListedModel(Struct, frozen=True, rename="camel"):
    """One model in the result of `model/list`."""

    id: str
    model: str
    display_name: str
    description: str
    hidden: bool
    is_default: bool
    """Whether a conversation gets it that names no other."""
    supported_reasoning_efforts: tuple[ReasoningEffort, ...]
    default_reasoning_effort: str
    input_modalities: tuple[str, ...]


class ModelList(Struct, frozen=True, rename="camel"):
    """Result of `model/list`."""

    data: tuple[ListedModel, ...]
    next_cursor: str | None = None


class ExecCommand(Struct, frozen=True):
    """What `execOneOffCommand` runs, with the sandbox as workers know it."""

    job: ClassVar[str] = "run-command"

    command: tuple[str, ...]
    timeout_ms: TimeoutMilliseconds | None
    cwd: str | None
    sandbox_policy: dict[str, object] | None


class SavedConfig(Struct, frozen=True):
    """What of `config.toml` is read."""

    job: ClassVar[str] = "saved-config"

    form: Literal["current", "early"] = "current"
    """Whether the result is that of `getUserSavedConfig`, or that of the older `getConfigToml`."""


class ReadSession(Struct, frozen=True):
    """A session file to read for `resumeConversation`."""

    job: ClassVar[str] = "read-session"

    path: str


class StoredSession(Struct, frozen=True):
    """What `resumeConversation` reads of a session file."""

    conversation_id: str
    initial_messages: list[msgspec.Raw] = field(default_factory=list)

"""Questions to the user and the decisions on them, independent of any client: each front end renders them for its own.

A worker asks with one of the structs of `AnyQuestion`, which is sent as JSON: a patch may be larger than a header, and
the arguments of a tool may contain numbers that msgpack lacks. The answer is a `Decision`.
"""

from collections.abc import Callable
from typing import ClassVar, Final, Literal, TypeAlias, get_args

import msgspec

from greenroom.protocol.display import shown, shown_lines
from greenroom.protocol.errors import RemoteProtocolError
from greenroom.protocol.events.command import ParsedCommand
from greenroom.protocol.events.file_change import ChangesByPath
from greenroom.protocol.items import JsonObject
from greenroom.protocol.message import Message, place_of

ReviewDecision: TypeAlias = Literal["approved", "approved_for_session", "denied", "abort"]
VERDICTS: Final[tuple[ReviewDecision, ...]] = get_args(ReviewDecision)
ElicitationAction: TypeAlias = Literal["accept", "decline", "cancel"]


class Decision(Message):
    """The outcome of a question."""

    wire: ClassVar[bytes] = b"decision"

    verdict: ReviewDecision
    reason: str | None = None
    """Why it was declined, for the model; `None` if the user simply said no."""
    action: ElicitationAction | None = None
    """The standard answer of MCP as given; `None` if there was none."""
    content: bytes | None = None
    """The content of a form as a JSON object, if the action is `accept`."""
    rule: tuple[str, ...] = ()
    """The beginning of commands that the user allows from now on, if the verdict is `approved`; empty for none."""


DENIED: Final = Decision(verdict="denied")


class Question(Message, tag_field="kind"):
    """Base of all questions. The conversation and the turn are in the message that carries it.

    A question says of itself what any front end needs; where one knows no better form for a kind, it asks for yes or no
    in these words. Texts of models and servers are made safe to show (`greenroom.protocol.display`).
    """

    can_be_approved: ClassVar[bool] = True
    """Whether a yes is an answer: a form has to be filled in, and an address visited, by the user."""
    can_last: ClassVar[bool] = True
    """Whether a yes can be remembered for the rest of the conversation."""

    @property
    def kind(self) -> str:
        """The name of the kind, as on the wire."""
        return str(self.__struct_config__.tag)

    def words(self) -> str:
        """Return the question as the user reads it."""
        return f"Allow Codex to go on with {self.subject()}?"

    def subject(self) -> str:
        """Return what it is about, as the subject of a sentence."""
        raise NotImplementedError


class CommandQuestion(Question, tag="command"):
    """Whether a command may run, or whether a running one may be given input (`write_stdin` and the text)."""

    call_id: str
    command: list[str]
    shell_text: str
    """The command in shell quoting."""
    cwd: str
    """Absolute."""
    parts: list[ParsedCommand]
    """Its effects, for display only."""
    reason: str | None = None
    """Why approval is needed: in the words of the model, or of the rules."""
    sandbox_failure: str | None = None
    """How it failed in the sandbox, if the question is whether to retry it without; else `None`."""
    confined: bool = False
    """Whether it runs in the sandbox if it is approved."""
    proposed_rule: list[str] | None = None
    """The beginning of commands that the user could allow with the answer; `None` where that makes no sense."""

    def words(self) -> str:
        """Return the question as the user reads it."""
        return f"Allow Codex to run `{shown(self.shell_text)}` in `{shown(self.cwd)}`?"

    def subject(self) -> str:
        """Return what it is about."""
        return f"the command `{shown(self.shell_text)}`"


class PatchQuestion(Question, tag="patch"):
    """Whether a patch may be applied."""

    can_last: ClassVar[bool] = False

    call_id: str
    changes: ChangesByPath
    reason: str | None = None
    """Why approval is needed."""

    def words(self) -> str:
        """Return the question as the user reads it."""
        text = "Allow Codex to apply proposed code changes?"
        return text if self.reason is None else f"{shown(self.reason)}\n{text}"

    def subject(self) -> str:
        """Return what it is about."""
        return f"the patch of {', '.join(shown(path) for path in sorted(self.changes))}"


class ToolQuestion(Question, tag="mcp_tool"):
    """Whether a tool of a user's MCP server may be called."""

    call_id: str
    server: str
    tool: str
    description: str
    """The server's description of the tool, as untrusted as the server."""
    arguments: JsonObject | None = None

    def words(self) -> str:
        """Return the question as the user reads it."""
        return f"Allow Codex to call the tool `{shown(self.tool)}` of the MCP server `{shown(self.server)}`?"

    def subject(self) -> str:
        """Return what it is about."""
        return f"the call of the tool `{shown(self.tool)}` of the MCP server `{shown(self.server)}`"


class AskedByServer(Question):
    """Base of what a user's MCP server itself asks."""

    can_be_approved: ClassVar[bool] = False
    can_last: ClassVar[bool] = False

    server: str
    message: str

    def words(self) -> str:
        """Return the question: its lines are marked, so that none of them can pose as one of Greenroom's."""
        marked = shown_lines(self.message).replace("\n", "\n| ")
        return f"{shown(self.server)}: {marked}"

    def subject(self) -> str:
        """Return what it is about."""
        return f"a question of the MCP server `{shown(self.server)}`"


class FormQuestion(AskedByServer, tag="mcp_form"):
    """A form of a user's MCP server for the user to fill in."""

    form: JsonObject
    """The `requestedSchema` of MCP."""


class UrlQuestion(AskedByServer, tag="mcp_url"):
    """A URL of a user's MCP server for the user to visit."""

    url: str
    elicitation_id: str | None = None


ServerQuestion: TypeAlias = ToolQuestion | FormQuestion | UrlQuestion
"""A question about a user's MCP server, or of one."""
AnyQuestion: TypeAlias = CommandQuestion | PatchQuestion | ServerQuestion

encode_question: Final[Callable[[AnyQuestion], bytes]] = msgspec.json.Encoder().encode
_decoder: Final[msgspec.json.Decoder[AnyQuestion]] = msgspec.json.Decoder(AnyQuestion)


def decode_question(payload: bytes) -> AnyQuestion:
    """Decode and validate a question. Raises `RemoteProtocolError`, whose text does not contain the data."""
    try:
        return _decoder.decode(payload)
    except msgspec.ValidationError as error:
        raise RemoteProtocolError(f"a question does not fit at {place_of(error) or 'its form'}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"a question is no JSON: {type(error).__name__}") from None

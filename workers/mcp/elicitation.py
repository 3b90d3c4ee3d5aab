"""Questions of a server to the user, passed on to the client's user."""

import itertools
from collections.abc import Awaitable, Callable
from typing import Final, Literal, TypeAlias

import msgspec

from greenroom.config.sandbox import SandboxPolicy
from greenroom.protocol.display import shown, shown_lines
from greenroom.protocol.items import JsonObject
from greenroom.protocol.mcp.elicitation import Decision
from greenroom.protocol.policy import ApprovalPolicy
from greenroom.workers.mcp.questions import ServerQuestions

Action: TypeAlias = Literal["accept", "decline", "cancel"]


class Elicitation(msgspec.Struct, frozen=True, kw_only=True):
    """One question: a form with a schema, or else a URL for the user to visit."""

    server: str
    message: str
    schema: JsonObject | None = None
    """The `requestedSchema` of a form."""
    url: str | None = None
    id: str | None = None
    """The `elicitationId` of a URL."""

    @property
    def wants_no_answers(self) -> bool:
        """Whether it is a form without fields, which only asks for yes or no."""
        return self.schema is not None and not self.schema.get("properties")

    @property
    def params(self) -> JsonObject:
        """The params of the `elicitation/create` that is sent to the client."""
        # so that none of its lines can pose as one of Greenroom's
        said = shown_lines(self.message).replace("\n", "\n| ")
        params: JsonObject = {"message": f"{shown(self.server)}: {said}"}
        if self.schema is not None:
            params["requestedSchema"] = _shown_schema(self.schema)
        else:
            params |= {"mode": "url", "url": self.url, "elicitationId": self.id}
        return params | {"codex_elicitation": "mcp-elicitation", "codex_mcp_server": self.server}


_FOR_PEOPLE: Final = frozenset({"title", "description", "enumNames"})


def _shown_schema(schema: JsonObject) -> JsonObject:
    """Make the texts of a form safe to show; names and values stay, since the answer is validated against them."""
    return {name: _shown_part(name, value) for name, value in schema.items()}


def _shown_part(name: str, value: object) -> object:
    match value:
        case dict():
            return _shown_schema(value)
        case list():
            return [_shown_part(name, part) for part in value]
        case str() if name in _FOR_PEOPLE:
            return shown_lines(value)
    return value


class ElicitationReply(msgspec.Struct, frozen=True):
    """The answer for the server."""

    action: Action
    content: JsonObject | None = None
    """The content of the form."""
    reason: str | None = None
    """Why the user was not asked; this is shown to the user, not to the server."""


ACCEPTED: Final = ElicitationReply("accept", {})

Elicit: TypeAlias = Callable[[Elicitation], Awaitable[ElicitationReply]]


def answer_alone(policy: ApprovalPolicy, sandbox: SandboxPolicy, question: Elicitation) -> ElicitationReply | None:
    """Return the answer that the policies determine, `None` if the user decides."""
    if policy != "never":
        return None
    if sandbox.type == "danger-full-access" and question.wants_no_answers:
        return ACCEPTED
    return ElicitationReply("decline", reason="the approval policy is never")


async def decline(_question: Elicitation) -> ElicitationReply:
    """Ask nothing, and decline."""
    return ElicitationReply("decline", reason="questions of MCP servers are not passed on")


def pass_on(questions: ServerQuestions) -> Elicit:
    """Return an `Elicit` that asks the client."""
    numbers = itertools.count()

    async def elicit(question: Elicitation) -> ElicitationReply:
        number = question.id or f"mcp_elicitation_{next(numbers)}"
        return read_elicitation_reply(await questions.put(question.server, number, question.params), question)

    return elicit


def read_elicitation_reply(decision: Decision, question: Elicitation) -> ElicitationReply:
    """Convert the client's answer for a server. The reference's own form of an answer means yes, without content."""
    if decision.action == "accept":
        return _filled_in(decision.content or b"{}") if question.schema is not None else ElicitationReply("accept")
    if decision.action is not None:
        return ElicitationReply(decision.action)
    if question.wants_no_answers and decision.verdict.startswith("approved"):
        return ACCEPTED
    return ElicitationReply("cancel" if decision.verdict == "abort" else "decline", reason=decision.reason)


def _filled_in(content: bytes) -> ElicitationReply:
    try:
        return ElicitationReply("accept", dict(_decode_content(content)))
    except msgspec.ValidationError:
        return ElicitationReply("decline", reason="the client's answer is no filled-in form")


_Field: TypeAlias = str | int | float | bool | list[str] | None
_decode_content: Final = msgspec.json.Decoder(dict[str, _Field]).decode

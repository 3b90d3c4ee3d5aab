"""What a server asks the user in the middle of its work, and how that reaches the user of our client."""

from collections.abc import Awaitable, Callable
from typing import Final, Literal, TypeAlias

import msgspec

from config.sandbox import SandboxPolicy
from protocol.arguments import ApprovalPolicy
from protocol.elicitation import Decision
from workers.model.items import JsonObject

Action: TypeAlias = Literal["accept", "decline", "cancel"]


class Elicitation(msgspec.Struct, frozen=True, kw_only=True):
    """One question. A form has a schema, everything else a URL that the user should visit."""

    server: str
    message: str
    schema: JsonObject | None = None
    """The `requestedSchema` of a form."""
    url: str | None = None
    id: str | None = None
    """The `elicitationId` of a URL."""

    @property
    def wants_no_answers(self) -> bool:
        """Whether it is a form without a field, which asks for a yes and nothing more."""
        return self.schema is not None and not self.schema.get("properties")

    @property
    def params(self) -> bytes:
        """The parameters of the `elicitation/create` that asks our client, as a JSON object."""
        params: JsonObject = {"message": f"{self.server}: {self.message}"}
        if self.schema is not None:
            params["requestedSchema"] = self.schema
        else:
            params |= {"mode": "url", "url": self.url, "elicitationId": self.id}
        return msgspec.json.encode(params | {"codex_elicitation": "mcp-elicitation", "codex_mcp_server": self.server})


class Reply(msgspec.Struct, frozen=True):
    """What the server is answered."""

    action: Action
    content: JsonObject | None = None
    """What a form was filled in with."""
    reason: str | None = None
    """Why the user was not asked; the server is not told, the user is."""


ACCEPTED: Final = Reply("accept", {})
DECLINED: Final = Reply("decline")

Elicit: TypeAlias = Callable[[Elicitation], Awaitable[Reply]]
Ask: TypeAlias = Callable[[bytes], Awaitable[Decision]]


def answer_alone(policy: ApprovalPolicy, sandbox: SandboxPolicy, question: Elicitation) -> Reply | None:
    """Return the answer that the policies give in the user's place, `None` where the user decides (spec/later 8.4)."""
    if policy != "never":
        return None
    if sandbox.type == "danger-full-access" and question.wants_no_answers:
        return ACCEPTED
    return Reply("decline", reason="the approval policy is never")


async def decline(_question: Elicitation) -> Reply:
    """Ask nobody."""
    return Reply("decline", reason="questions of MCP servers are not passed on")


def yes_or_no(ask: Ask) -> Elicit:
    """Return an `Elicit` over the way that approvals take, which brings back a verdict and no content."""

    async def elicit(question: Elicitation) -> Reply:
        if not question.wants_no_answers:
            return Reply("decline", reason="only questions without fields can be passed on")
        decision = await ask(question.params)
        if decision.verdict.startswith("approved"):
            return ACCEPTED
        return Reply("cancel" if decision.verdict == "abort" else "decline", reason=decision.reason)

    return elicit


def read_reply(result: bytes | None) -> Reply:
    """Say what our client's answer to `params` means; `result` is `None` for an error response."""
    if result is None:
        return Reply("decline", reason="the client could not ask the user")
    try:
        answer = msgspec.json.decode(result, type=_Answer)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return DECLINED
    if answer.action == "accept":
        return Reply("accept", answer.content or {})
    return Reply(answer.action)


class _Answer(msgspec.Struct, frozen=True):
    action: Action
    content: JsonObject | None = None

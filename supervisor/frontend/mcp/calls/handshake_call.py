"""An open `tools/call` of the handshake eras: turns the events and the result of its turn into lines for the client.

What both eras make of arguments and of a turn's end is here too; calls of the other era are in
`greenroom.supervisor.frontend.mcp.calls.multi_round_calls`.
"""

from collections.abc import Callable

from greenroom.protocol.approval import AnyQuestion
from greenroom.protocol.choices import DELTA_EVENTS, EventForm, EventMode
from greenroom.protocol.events.turn import BackgroundEvent
from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import BEFORE_TURNS, ConversationId, TurnId
from greenroom.protocol.jsonrpc import Request, encode
from greenroom.protocol.mcp.arguments import CodexArguments, ReplyArguments
from greenroom.protocol.mcp.handshake import (
    CallToolParams,
    EventNotification,
    ProgressToken,
    failure_result,
    success_result,
)
from greenroom.protocol.spending import usage_member
from greenroom.supervisor.conversations.registry import Conversations
from greenroom.supervisor.conversations.state.turn import CallOrigin, ConversationTurn
from greenroom.supervisor.frontend.client_channel import ClientChannel
from greenroom.supervisor.frontend.elicitation import request_params
from greenroom.supervisor.frontend.elicitor import CANNOT_ASK, Elicitation, Elicitor
from greenroom.supervisor.frontend.progress import Progress

TITLE = 200
"""Characters of a title."""
DELTAS = tuple(b'{"type":"%b"' % kind.encode() for kind in sorted(DELTA_EVENTS))
"""How they begin: workers write the type first. Where another client listens too, they come in spite of the mode."""


class ToolCall:
    """The audience of one turn (`greenroom.supervisor.conversations.state.turn.Audience`)."""

    def __init__(
        self,
        request: Request,
        conversation_id: ConversationId,
        event_id: str,
        conversations: Conversations,
        elicitor: Elicitor,
        on_answered: Callable[[Request], None],
        event_mode: EventMode,
        progress_token: ProgressToken,
        unknown_text: str,
    ) -> None:
        self.request = request
        self.conversation_id = conversation_id
        self.turn: ConversationTurn | None = None
        """Reset with the answer: call and turn refer to each other, and only the garbage collector would free them."""
        self.client: ClientChannel = elicitor.channel
        self._write = self.client.writer_for(request.id)
        self._conversations = conversations
        self._elicitor = elicitor
        self._on_answered = on_answered
        self._questions: list[Elicitation] = []
        self._event_id = event_id
        self._event_mode = event_mode
        self._progress_token = progress_token
        self._progress = None if progress_token is None else Progress(self._tell)
        self._unknown_text = unknown_text
        self._start_frame = EventNotification(request.raw_id, conversation_id, BEFORE_TURNS)
        self._turn_frame = EventNotification(request.raw_id, conversation_id, event_id)

    @property
    def wants_deltas(self) -> bool:
        """Whether its client is sent pieces of texts."""
        return self._event_mode == "full"

    @property
    def wants_steps(self) -> bool:
        """Whether its client has asked for signs of life."""
        return self._progress is not None

    def events(self, turn_id: TurnId, events: bytes) -> None:
        """Send the events of a batch as notifications."""
        if self._event_mode == "progress":
            events = b"\n".join(event for event in events.split(b"\n") if not event.startswith(DELTAS))
        if self._event_mode != "off" and events:
            frame = self._start_frame if turn_id == BEFORE_TURNS else self._turn_frame
            self._write(frame.splice(events))

    def progress(self, doing: str) -> None:
        """Send a sign of life to a client that asked for it, with what is being done."""
        if self._progress is not None:
            self._progress.note(doing)

    def asks(self, question_id: int, question: AnyQuestion, form: EventForm) -> None:
        """Ask the client's user, or decide at once where the client cannot ask."""
        turn = self.turn
        if turn is None:
            return
        params = request_params(question, form, self.request.id, self._event_id, self.conversation_id)
        asked = self._elicitor.ask(
            params, lambda decision: self._conversations.questions.decide(turn, question_id, decision), self.request.id
        )
        if asked is not None:
            self._questions.append(asked)
            self._conversations.questions.on_decided_elsewhere(turn, question_id, asked.decided_elsewhere)
            return
        waits = self._elicitor.waits(question)
        outcome = "it waits for `codex-approve`" if waits else "the answer is no"
        text = f"Approval was needed, but this client cannot ask its user; {outcome}."
        self.events(turn.id, encode(BackgroundEvent(text)))
        if not waits:
            self._conversations.questions.decide(turn, question_id, CANNOT_ASK)

    def succeeded(self, last_message: bytes) -> None:
        """Answer with the agent's last message."""
        worktree = self._conversations.worktree_of(self.conversation_id)
        self._answer(success_result(self.conversation_id, last_message, usage_of(self.turn), worktree))

    def failed(self, failure: Failure) -> None:
        """Answer with the error."""
        self._answer(result_of(failure, self.conversation_id, self._unknown_text, usage_of(self.turn)))

    def _tell(self, signs: int, doing: str) -> None:
        params = {"progressToken": self._progress_token, "progress": signs, "message": doing}
        self.client.notify_about(self.request.id, "notifications/progress", params)

    def _answer(self, result: bytes) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
        for question in self._questions:
            question.withdraw("the call has ended")
        self._questions.clear()
        self.turn = None
        self.client.respond(self.request, result)
        self._on_answered(self.request)


def usage_of(turn: ConversationTurn | None) -> dict[str, object] | None:
    """Return the member `usage` of the result of a turn, `None` where models have no prices."""
    return None if turn is None or turn.usage is None else usage_member(*turn.usage)


def result_of(
    failure: Failure, conversation_id: ConversationId, unknown_text: str, usage: dict[str, object] | None = None
) -> bytes:
    """Return the result of a call whose turn failed, in the wording that clients know.

    `unknown_text` is for a conversation that does not exist.
    """
    told = worded(failure, unknown_text)
    match failure.kind:
        case "config":
            return failure_result(told)
        case "start_failed" if not failure.facts.get("resumable"):  # there is no conversation to continue
            return failure_result(told)
        case _:
            return failure_result(told, conversation_id, usage)


def worded(failure: Failure, unknown_text: str) -> Failure:
    """Return a failure in the wording that clients know. `unknown_text` is as in `result_of`."""
    match failure.kind:
        case "config":
            return Failure(failure.kind, f"Failed to load Codex configuration from overrides: {failure.message}")
        case "session_unknown":
            return Failure(failure.kind, unknown_text)
        case _:
            return failure


def overrides_of(arguments: CodexArguments, cwd: str | None) -> bytes:
    """Return the settings of a call's conversation, as JSON of `greenroom.config.settings.ConversationOverrides`.

    `cwd` is the directory that the arguments name, or stand for, on this machine.
    """
    values = {
        "model": arguments.model,
        "profile": arguments.profile,
        "cwd": cwd,
        "approval_policy": arguments.approval_policy,
        "sandbox_mode": arguments.sandbox,
        "config": arguments.config,
        "base_instructions": arguments.base_instructions,
        "developer_instructions": arguments.developer_instructions,
        "compact_prompt": arguments.compact_prompt,
        "include_plan_tool": arguments.include_plan_tool,
        "worktree": arguments.worktree,
    }
    return encode({name: value for name, value in values.items() if value is not None})


def items_of(arguments: CodexArguments | ReplyArguments) -> bytes:
    """Return the input of a turn as the JSON array of its items."""
    return b'[{"type":"text","text":%b}]' % encode(arguments.prompt)


def tool_call_origin(request: Request, params: CallToolParams) -> CallOrigin:
    """Return what is known of the call that asks for a turn."""
    return CallOrigin(request.method, params.name, str(request.id), params.trace)


def title_of_prompt(arguments: CodexArguments) -> str:
    """Return the first words of a conversation, on one line."""
    return " ".join(arguments.prompt[:TITLE].split())


def unknown_session(arguments: ReplyArguments) -> str:
    """Return the text for a conversation that does not exist, naming the argument that the caller used."""
    return f"Session not found for {arguments.id_name}: {arguments.conversation_id}"

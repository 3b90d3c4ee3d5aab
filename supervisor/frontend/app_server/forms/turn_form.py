"""Renders turns, their errors and what happens in them as this protocol has them."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from greenroom.protocol.app_server import notifications as told
from greenroom.protocol.app_server.item import AgentMessageItem, ThreadItem
from greenroom.protocol.app_server.thread import Active, Faulty, Idle, ThreadStatus, Turn, TurnError
from greenroom.protocol.app_server.wire import ServerNotification
from greenroom.protocol.errors import ErrorKind
from greenroom.protocol.events.review import GuardianAssessment
from greenroom.protocol.events.turn import ErrorInfo, TokenUsage
from greenroom.protocol.failure import Failure
from greenroom.protocol.goal import ThreadGoal
from greenroom.protocol.ids import ConversationId, TurnId
from greenroom.supervisor.frontend.app_server.forms.account_limits import limits_snapshot
from greenroom.supervisor.frontend.app_server.forms.item_form import render_thread_item
from greenroom.supervisor.frontend.thread_items import update
from greenroom.supervisor.frontend.thread_items.update import Fault, Update

_INFO: Final[Mapping[str, ErrorInfo]] = {
    "unauthorized": "unauthorized",
    "usage_limit": "usage_limit_exceeded",
    "prompt_too_long": "context_window_exceeded",
    "overloaded": "server_overloaded",
    "config": "bad_request",
    "internal": "internal_server_error",
}
"""What programs are told of failures that no event has told of."""
_REVIEWS: Final[Mapping[str, told.ReviewStatus]] = {
    "in_progress": "inProgress",
    "approved": "approved",
    "denied": "denied",
    "timed_out": "timedOut",
    "aborted": "aborted",
}
_SERVER_STATES: Final[Mapping[str, told.ServerState]] = {
    "starting": "starting",
    "ready": "ready",
    "cancelled": "cancelled",
}
_STEPS: Final[Mapping[str, told.StepStatus]] = {
    "pending": "pending",
    "in_progress": "inProgress",
    "completed": "completed",
}


def fault_of(failure: Failure) -> Fault:
    """Return why a turn has failed, where its worker has not said so."""
    kind: ErrorKind | str = failure.kind
    return Fault(failure.message, _INFO.get(kind, "other"))


def error_of(fault: Fault) -> TurnError:
    """Return an error in the form of this protocol."""
    return TurnError(message=fault.message, codex_error_info=_camel(fault.info))


def begun_turn(turn_id: str, started_at: int | None = None) -> Turn:
    """Return a turn at its beginning."""
    return Turn(id=turn_id, items=[], items_view="notLoaded", status="inProgress", started_at=started_at)


def ended_turn(turn_id: str, end: update.TurnFinished, last: AgentMessageItem | None) -> Turn:
    """Return a turn at its end; of its items only the last message is repeated."""
    is_shown = last is not None and end.status == "completed"
    return Turn(
        id=turn_id,
        items=[last] if is_shown and last is not None else [],
        items_view="summary" if is_shown else "notLoaded",
        status=end.status,
        error=None if end.fault is None else error_of(end.fault),
        started_at=end.started_at,
        completed_at=end.completed_at,
        duration_ms=end.duration_ms,
    )


class TurnNarrator:
    """Tells one client of the turns of one conversation. Free of I/O: it returns what to send."""

    def __init__(self, conversation_id: ConversationId) -> None:
        self._thread_id = conversation_id
        self._last: AgentMessageItem | None = None
        """The last message of the running turn."""

    def tell(self, turn_id: TurnId, one: Update) -> Iterator[ServerNotification]:
        """Yield the notifications of something that has happened in a turn."""
        thread_id = self._thread_id
        place: dict[str, Any] = {"thread_id": thread_id, "turn_id": turn_id}
        match one:
            case update.TurnBegan():
                self._last = None
                yield told.ThreadStatusChanged(thread_id=thread_id, status=Active(active_flags=[]))
                yield told.TurnStarted(thread_id=thread_id, turn=begun_turn(turn_id, one.started_at))
            case update.TurnFinished():
                yield told.ThreadStatusChanged(thread_id=thread_id, status=_rest(one))
                yield told.TurnCompleted(thread_id=thread_id, turn=ended_turn(turn_id, one, self._last))
            case update.ItemBegan():
                yield told.ItemStarted(**place, item=self.render(turn_id, one), started_at_ms=one.at_ms)
            case update.ItemEnded():
                item = self.render(turn_id, one)
                if isinstance(item, AgentMessageItem):
                    self._last = item
                yield told.ItemCompleted(**place, item=item, completed_at_ms=one.at_ms)
            case _:
                yield from self._tell_rest(turn_id, one)

    def render(self, turn_id: TurnId, one: update.ItemBegan | update.ItemEnded) -> ThreadItem:
        """Return an item in the form of this protocol."""
        del turn_id
        return render_thread_item(one.item)

    def _tell_rest(self, turn_id: TurnId, one: Update) -> Iterator[ServerNotification]:
        thread_id = self._thread_id
        place: dict[str, Any] = {"thread_id": thread_id, "turn_id": turn_id}
        match one:
            case update.TokensCounted():
                yield from self._count(turn_id, one)
            case update.Failed():
                yield told.ErrorOccurred(**place, error=error_of(one.fault), will_retry=False)
            case update.Retried():
                yield told.ErrorOccurred(**place, error=error_of(one.fault), will_retry=True)
            case update.Warned():
                yield told.WarningGiven(thread_id=thread_id, message=one.message)
            case update.ReviewBegan(event):
                yield told.ReviewStarted(**place, **review_members(event))
            case update.ReviewEnded(event):
                at_ms = event.completed_at_ms or event.started_at_ms
                members = review_members(event)
                yield told.ReviewCompleted(**place, **members, completed_at_ms=at_ms, decision_source="agent")
            case update.GoalChanged(goal=None):
                yield told.ThreadGoalCleared(thread_id=thread_id)
            case update.GoalChanged(goal=ThreadGoal() as goal, turn_id=during):
                yield told.ThreadGoalUpdated(thread_id=thread_id, turn_id=during, goal=goal)
            case update.ServersFailed():
                for failure in one.failures:
                    yield self._server(failure.server, "failed", failure.error)
            case update.ServerChanged():
                yield self._server(one.server, one.state, one.error)
            case _:
                yield self._piece(place, one)

    def _piece(self, place: Mapping[str, Any], one: Update) -> ServerNotification:
        match one:
            case update.TextGrew(item_id, piece):
                return told.AgentMessageDelta(**place, item_id=item_id, delta=piece)
            case update.SummarySectionBegan(item_id, section):
                return told.ReasoningSummaryPartAdded(**place, item_id=item_id, summary_index=section)
            case update.SummaryGrew(item_id, piece, section):
                return told.ReasoningSummaryTextDelta(**place, item_id=item_id, delta=piece, summary_index=section)
            case update.ReasoningGrew(item_id, piece, part):
                return told.ReasoningTextDelta(**place, item_id=item_id, delta=piece, content_index=part)
            case update.OutputGrew(item_id, piece):
                return told.CommandOutputDelta(**place, item_id=item_id, delta=piece)
            case update.TerminalInput(item_id, process_id, text):
                return told.TerminalInteraction(**place, item_id=item_id, process_id=process_id, stdin=text)
            case update.PlanChanged(explanation, steps):
                plan = [told.PlanStep(step=step.step, status=_STEPS[step.status]) for step in steps]
                return told.TurnPlanUpdated(**place, explanation=explanation, plan=plan)
            case update.DiffChanged(diff):
                return told.TurnDiffUpdated(**place, diff=diff)
            case update.Compacted():
                return told.ThreadCompacted(**place)
        raise AssertionError(one)

    def _count(self, turn_id: TurnId, one: update.TokensCounted) -> Iterator[ServerNotification]:
        if one.info is not None:
            usage = told.ThreadTokenUsage(
                total=_usage(one.info.total_token_usage),
                last=_usage(one.info.last_token_usage),
                model_context_window=one.info.model_context_window,
            )
            yield told.ThreadTokenUsageUpdated(thread_id=self._thread_id, turn_id=turn_id, token_usage=usage)
        if one.rate_limits is not None:
            yield told.AccountRateLimitsUpdated(rate_limits=limits_snapshot(one.rate_limits))

    def _server(self, name: str, state: str, error: str | None) -> ServerNotification:
        status = _SERVER_STATES.get(state, "failed")
        return told.McpServerStatusUpdated(thread_id=self._thread_id, name=name, status=status, error=error)


def review_members(event: GuardianAssessment) -> dict[str, Any]:
    """Return what both notifications about a review have in common."""
    review = told.Review(
        status=_REVIEWS[event.status],
        risk_level=event.risk_level,
        user_authorization=event.user_authorization,
        rationale=event.rationale,
    )
    action = {_camel_name(name): value for name, value in event.action.items()}
    action["type"] = _camel_name(str(action["type"]))
    return {
        "review_id": event.id,
        "target_item_id": event.target_item_id,
        "review": review,
        "action": action,
        "started_at_ms": event.started_at_ms,
    }


def _usage(usage: TokenUsage) -> told.TokenUsageBreakdown:
    return told.TokenUsageBreakdown(
        total_tokens=usage.total_tokens,
        input_tokens=usage.input_tokens,
        cached_input_tokens=usage.cached_input_tokens,
        output_tokens=usage.output_tokens,
        reasoning_output_tokens=usage.reasoning_output_tokens,
        cache_write_input_tokens=usage.cache_write_input_tokens,
    )


def _rest(end: update.TurnFinished) -> ThreadStatus:
    return Faulty() if end.status == "failed" else Idle()


def _camel(info: ErrorInfo) -> ErrorInfo:
    """Return the kind of an error as this protocol writes it: all names in camel case."""
    match info:
        case str():
            return _camel_name(info)
        case dict():
            return {_camel_name(str(name)): _camel_members(value) for name, value in info.items()}
    return None


def _camel_members(value: object) -> object:
    return {_camel_name(str(name)): one for name, one in value.items()} if isinstance(value, dict) else value


def _camel_name(name: str) -> str:
    return re.sub(r"_(\w)", lambda found: found[1].upper(), name)

"""One client's subscription to one conversation: it is told of every turn, also of those of other clients."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Literal

import msgspec

from greenroom.protocol.app_server.item import (
    EnteredReviewModeItem,
    ExitedReviewModeItem,
    ThreadItem,
    UserInputPart,
    UserMessageItem,
)
from greenroom.protocol.app_server.notifications import (
    ItemCompleted,
    ItemStarted,
    ThreadStatusChanged,
)
from greenroom.protocol.app_server.thread import Active, ActiveFlag, Idle, ThreadStatus
from greenroom.protocol.app_server.wire import ServerNotification
from greenroom.protocol.failure import Failure
from greenroom.protocol.goal import ThreadGoal
from greenroom.protocol.ids import ConversationId, TurnId
from greenroom.supervisor.frontend.app_server.channel import AppServerChannel
from greenroom.supervisor.frontend.app_server.forms.turn_form import TurnNarrator, fault_of
from greenroom.supervisor.frontend.thread_items.thread_tracker import ThreadTracker
from greenroom.supervisor.frontend.thread_items.update import (
    Failed,
    Fault,
    GoalChanged,
    ItemBegan,
    ItemEnded,
    TurnBegan,
    TurnFinished,
    Update,
)

if TYPE_CHECKING:
    from greenroom.supervisor.frontend.app_server.thread_settings import SessionSettings

GONE = Fault("The process of this conversation has died; the next turn goes on from where it was saved.", "other")


class OwnInput(msgspec.Struct, frozen=True):
    """What this client has said, as it is repeated to it."""

    content: list[UserInputPart]
    client_id: str | None


class _OwnNarrator(TurnNarrator):
    """Repeats the client's own messages as it has sent them, with images and ids."""

    def __init__(self, conversation_id: ConversationId) -> None:
        super().__init__(conversation_id)
        self.inputs: dict[str, list[OwnInput]] = {}
        """By turn, what has been said in it and not been told of yet."""
        self.reviews: dict[str, str] = {}
        """The subjects of turns that are reviews."""

    def tell(self, turn_id: TurnId, one: Update) -> Iterator[ServerNotification]:
        """Put a review between an item that it begins with and one that has its outcome."""
        subject = self.reviews.get(turn_id)
        if subject is not None and isinstance(one, TurnFinished):
            del self.reviews[turn_id]
            item = ExitedReviewModeItem(id=turn_id, review=one.last_message or "")
            yield from self._whole(turn_id, item)
        yield from super().tell(turn_id, one)
        if subject is not None and isinstance(one, TurnBegan):
            yield from self._whole(turn_id, EnteredReviewModeItem(id=turn_id, review=subject))

    def _whole(self, turn_id: TurnId, item: ThreadItem) -> Iterator[ServerNotification]:
        at_ms = round(time.time() * 1000)
        place = {"thread_id": self._thread_id, "turn_id": turn_id}
        yield ItemStarted(**place, item=item, started_at_ms=at_ms)
        yield ItemCompleted(**place, item=item, completed_at_ms=at_ms)

    def render(self, turn_id: TurnId, one: ItemBegan | ItemEnded) -> ThreadItem:
        item = super().render(turn_id, one)
        said = self.inputs.get(turn_id)
        if not isinstance(item, UserMessageItem) or not said:
            return item
        own = said[0] if isinstance(one, ItemBegan) else said.pop(0)
        return UserMessageItem(id=item.id, content=own.content, client_id=own.client_id)


class ThreadSession:
    """Implements `greenroom.supervisor.conversations.state.turn.TurnObserver`."""

    def __init__(self, conversation_id: ConversationId, channel: AppServerChannel) -> None:
        self.id = conversation_id
        self.client = channel
        self.settings: SessionSettings | None = None
        """What turns go by; `None` until the conversation is open."""
        self.status: ThreadStatus = Idle()
        self._tracker = ThreadTracker()
        self._narrator = _OwnNarrator(conversation_id)
        self._ending: list[tuple[TurnId, Update]] = []
        """The end of the running turn and what follows it, until the turn has ended for the supervisor as well: a
        client that has been told of the end may count on it."""
        self.goal: ThreadGoal | None = None
        """The goal of the conversation, as far as its processes have told since this subscription."""
        self.on_rest: Callable[[], None] | None = None
        """Called when a turn has ended that was neither stopped nor has failed."""
        self._running: TurnId | None = None
        self._last_ended: TurnId | None = None
        self._is_complete = False
        """Whether the turn was neither stopped nor has failed."""
        self._own: dict[TurnId, Failure | None] = {}
        """The turns that this client has begun, each with its failure once that is known."""
        self._held: list[ServerNotification] | None = []
        """What is told once the client knows of the thread."""

    @property
    def running(self) -> TurnId | None:
        """The turn that runs, as far as the client has been told."""
        return self._running

    def release(self) -> None:
        """Tell what has been held back, and all that follows at once."""
        held, self._held = self._held, None
        for notification in held or ():
            self.client.tell(notification)

    def begin(self, turn_id: TurnId, said: OwnInput | None) -> None:
        """Expect a turn of this client."""
        self._own[turn_id] = None
        if said is not None:
            self.say(turn_id, said)

    def say(self, turn_id: TurnId, said: OwnInput) -> None:
        """Expect that a turn takes in what this client has said."""
        self._narrator.inputs.setdefault(turn_id, []).append(said)

    def review(self, turn_id: TurnId, subject: str) -> None:
        """Tell of a turn of this client as a review."""
        self._narrator.reviews[turn_id] = subject

    def failed(self, turn_id: TurnId, failure: Failure) -> None:
        """Note why a turn of this client has failed; its end follows."""
        if turn_id in self._own:
            self._own[turn_id] = failure

    def events(self, turn_id: TurnId, events: bytes) -> None:
        """Tell the client what has happened."""
        for one in self._tracker.receive(events):
            if self._ending or isinstance(one, TurnFinished):
                self._ending.append((turn_id, one))
            else:
                self._tell(turn_id, one)

    def turn_ended(self, turn_id: TurnId) -> None:
        """Tell the client that a turn has ended: as its worker has said, else why the worker has not."""
        if self._ending and self._ending[0][0] == turn_id:
            ending, self._ending = self._ending, []
            for of_turn, one in ending:
                self._tell(of_turn, one)
        is_own = turn_id in self._own
        failure = self._own.pop(turn_id, None)
        self._narrator.inputs.pop(turn_id, None)
        is_aborted = failure is not None and failure.kind == "turn_aborted"
        fault = GONE if failure is None else fault_of(failure)
        if self._running == turn_id:
            self._tell_all(turn_id, self._tracker.interrupt() if is_aborted else self._tracker.fail(fault))
        elif is_own and failure is not None and self._last_ended != turn_id:
            self._tell_all(turn_id, _never_begun(None if is_aborted else fault))
        if self.on_rest is not None and self._last_ended == turn_id and self._is_complete:
            self.on_rest()

    def declined(self, turn_id: TurnId, call_id: str) -> None:
        """Tell the client that what its user has declined is over."""
        self._tell_all(turn_id, self._tracker.decline(call_id))

    def waits(self, flags: list[ActiveFlag]) -> None:
        """Tell the client what the running turn waits for."""
        status = Active(active_flags=flags)
        if self._running is not None and status != self.status:
            self._send(ThreadStatusChanged(thread_id=self.id, status=status))

    def _tell_all(self, turn_id: TurnId, updates: Iterable[Update]) -> None:
        for one in updates:
            self._tell(turn_id, one)

    def _tell(self, turn_id: TurnId, one: Update) -> None:
        if isinstance(one, TurnBegan):
            self._running = turn_id
        elif isinstance(one, TurnFinished):
            self._running, self._last_ended = None, turn_id
            self._is_complete = one.status == "completed"
        elif isinstance(one, GoalChanged):
            self.goal = one.goal
        for notification in self._narrator.tell(turn_id, one):
            self._send(notification)

    def _send(self, notification: ServerNotification) -> None:
        if isinstance(notification, ThreadStatusChanged):
            self.status = notification.status
        if self._held is None:
            self.client.tell(notification)
        else:
            self._held.append(notification)


def _never_begun(fault: Fault | None) -> Iterator[Update]:
    status: Literal["interrupted", "failed"] = "interrupted" if fault is None else "failed"
    if fault is not None:
        yield Failed(fault)
    yield TurnFinished(status=status, fault=fault, started_at=None, completed_at=round(time.time()), duration_ms=None)

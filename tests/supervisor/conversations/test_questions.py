"""A question of a worker reaches the caller of its turn as it was asked, or is refused at once."""

import msgspec

from greenroom.protocol.approval import AnyQuestion, CommandQuestion, Decision, encode_question
from greenroom.protocol.choices import EventForm
from greenroom.protocol.internal.worker.notices import AskUser, NoticeOrder, ReceivedNotice
from greenroom.protocol.internal.worker.operations import Decide, StartTurn
from greenroom.supervisor.conversations.turns import UNREADABLE
from tests.support.loop import on_loop
from tests.support.workplace import WORKER, Listener, Workplace

QUESTION = CommandQuestion(call_id="c", command=["ls"], shell_text="ls", cwd="/", parts=[], reason="why")


class Asked(Listener):
    """A caller who remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.questions: list[tuple[int, AnyQuestion, EventForm]] = []

    def asks(self, question_id: int, question: AnyQuestion, form: EventForm) -> None:
        self.questions.append((question_id, question, form))


class Stage:
    """A running turn whose worker asks."""

    def __init__(self) -> None:
        self.place, self.caller = Workplace(), Asked()
        self.place.conversations.submit(self.place.conversations.open(b"{}"), b"[]", self.caller)
        self.place.open()

    def ask(self, question_id: int, payload: bytes, **more: str) -> None:
        begun = next(sent for sent in self.place.sent if isinstance(sent, StartTurn))
        address = {
            "conversation_id": begun.conversation_id,
            "incarnation": begun.incarnation,
            "turn_id": begun.turn_id,
        }
        notice = msgspec.convert({**address, "question_id": question_id, **more}, AskUser)
        received = ReceivedNotice(notice, payload, NoticeOrder(0, question_id + 1))
        self.place.conversations.notices.receive(WORKER, received)

    @property
    def decisions(self) -> list[tuple[int, Decision]]:
        return [(sent.question_id, sent.decision) for sent in self.place.sent if isinstance(sent, Decide)]


@on_loop
async def test_a_question_arrives_typed_and_with_the_form_that_its_clients_know() -> None:
    stage = Stage()
    stage.ask(1, encode_question(QUESTION))
    stage.ask(2, encode_question(QUESTION), form="baseline")
    assert stage.caller.questions == [(1, QUESTION, "current"), (2, QUESTION, "baseline")]
    assert stage.decisions == []


@on_loop
async def test_a_question_that_does_not_fit_is_refused_so_that_its_turn_does_not_wait() -> None:
    stage = Stage()
    stage.ask(7, b'{"kind":"command"}')
    assert stage.caller.questions == []
    assert stage.decisions == [(7, UNREADABLE)]

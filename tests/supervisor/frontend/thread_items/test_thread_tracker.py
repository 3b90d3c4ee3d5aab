"""Every item and every turn has one beginning and one end, whatever the worker tells."""

import base64
from typing import Any, Final

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.events.table import EVENTS
from greenroom.protocol.events.thread_item import AgentMessage, CommandExecution, FileChanges
from greenroom.supervisor.frontend.thread_items import update
from greenroom.supervisor.frontend.thread_items.thread_tracker import ThreadTracker
from greenroom.supervisor.frontend.thread_items.update import Fault, Update

NOW: Final = 1_800_000_000.25
PLACE: Final = {"thread_id": "t", "turn_id": "u"}


def line(kind: str, /, **members: Any) -> bytes:
    return msgspec.json.encode({"type": kind, **members})


def begun(at: int = 1_800_000_000) -> bytes:
    return line(
        "task_started", turn_id="u", started_at=at, model_context_window=None, collaboration_mode_kind="default"
    )


def over(**more: Any) -> bytes:
    times = {"started_at": 1_800_000_000, "completed_at": 1_800_000_002, "duration_ms": 2100}
    return line("task_complete", turn_id="u", last_agent_message=None, **times, **more)


def command(status: str = "in_progress", **more: Any) -> dict[str, Any]:
    told = {"command": ["ls"], "cwd": "file:///a%20b", "parsed_cmd": [], "source": "agent", "status": status}
    return {"type": "CommandExecution", "id": "c1", **told, **more}


def started(item: dict[str, Any]) -> bytes:
    return line("item_started", **PLACE, item=item, started_at_ms=1)


def completed(item: dict[str, Any]) -> bytes:
    return line("item_completed", **PLACE, item=item, started_at_ms=1, completed_at_ms=2)


def asked(call_id: str = "c1") -> bytes:
    facts = {"command": ["ls"], "cwd": "/a", "parsed_cmd": [], "available_decisions": []}
    return line("exec_approval_request", turn_id="u", started_at_ms=1, kind="command", call_id=call_id, **facts)


def follow(*lines: bytes) -> list[Update]:
    return list(ThreadTracker(lambda: NOW).receive(b"\n".join(lines)))


def test_an_item_and_its_turn_begin_and_end_in_order() -> None:
    told = follow(begun(), started(command()), completed(command("completed", exit_code=0)), over())
    kinds = [type(one) for one in told]
    assert kinds == [update.TurnBegan, update.ItemBegan, update.ItemEnded, update.TurnFinished]
    ended = told[2]
    assert isinstance(ended, update.ItemEnded)
    assert isinstance(ended.item, CommandExecution)
    assert (ended.item.directory, ended.item.exit_code) == ("/a b", 0)
    assert told[3] == update.TurnFinished(
        status="completed", started_at=1_800_000_000, completed_at=1_800_000_002, duration_ms=2100
    )


def test_an_item_that_is_told_of_at_its_end_only_begins_first() -> None:
    message = {"type": "AgentMessage", "id": "m", "content": [{"type": "Text", "text": "Hi"}], "phase": None}
    began, ended = follow(completed(message))
    assert isinstance(began, update.ItemBegan)
    assert isinstance(ended, update.ItemEnded)
    assert isinstance(ended.item, AgentMessage)
    assert ended.item.text == "Hi"


def test_a_command_begins_when_it_is_asked_for_and_not_again_when_it_runs() -> None:
    told = follow(begun(), asked(), started(command()), completed(command("completed")), over())
    assert [type(one) for one in told].count(update.ItemBegan) == 1


def test_what_is_declined_ends_as_declined_at_once_or_with_its_turn() -> None:
    tracker = ThreadTracker(lambda: NOW)
    list(tracker.receive(begun() + b"\n" + asked("c1") + b"\n" + asked("c2")))
    (ended,) = tracker.decline("c1")
    assert isinstance(ended, update.ItemEnded)
    assert isinstance(ended.item, CommandExecution)
    assert ended.item.status == "declined"
    assert list(tracker.decline("c1")) == []
    other, turn = tracker.receive(over())
    assert isinstance(other, update.ItemEnded)
    assert other.item == msgspec.structs.replace(ended.item, id="c2")
    assert isinstance(turn, update.TurnFinished)


def test_the_death_of_a_worker_ends_what_it_left_open() -> None:
    tracker = ThreadTracker(lambda: NOW)
    patch = {"type": "FileChange", "id": "p", "changes": {}, "status": "in_progress"}
    list(tracker.receive(begun() + b"\n" + started(command(process_id="7")) + b"\n" + started(patch)))
    failed, patched, turn, ran = tracker.fail(Fault("gone"))
    assert failed == update.Failed(Fault("gone"))
    assert isinstance(patched, update.ItemEnded)
    assert isinstance(patched.item, FileChanges)
    assert patched.item.status == "failed"
    assert isinstance(turn, update.TurnFinished)
    assert (turn.status, turn.fault) == ("failed", Fault("gone"))
    assert isinstance(ran, update.ItemEnded)
    assert list(tracker.fail(Fault("gone"))) == []


def test_a_failure_that_a_worker_has_told_before_its_death_is_told_once() -> None:
    tracker = ThreadTracker(lambda: NOW)
    list(tracker.receive(begun() + b"\n" + line("error", message="no", codex_error_info="other")))
    (turn,) = tracker.fail(Fault("gone"))
    assert isinstance(turn, update.TurnFinished)


def test_a_command_with_a_process_of_its_own_outlives_its_turn_and_ends_in_a_later_one() -> None:
    tracker = ThreadTracker(lambda: NOW)
    running = command(process_id="7")
    told = list(tracker.receive(b"\n".join((begun(), started(running), over()))))
    assert isinstance(told[-1], update.TurnFinished)
    assert not any(isinstance(one, update.ItemEnded) for one in told)
    later = list(tracker.receive(b"\n".join((begun(), completed(command("completed", process_id="7")), over()))))
    assert [type(one) for one in later] == [update.TurnBegan, update.ItemEnded, update.TurnFinished]


def test_a_failed_turn_says_why() -> None:
    error = line("error", message="No.", codex_error_info="unauthorized")
    failed, turn = follow(begun(), error, over())[1:]
    assert failed == update.Failed(Fault("No.", "unauthorized"))
    assert isinstance(turn, update.TurnFinished)
    assert (turn.status, turn.fault) == ("failed", Fault("No.", "unauthorized"))


def test_a_character_that_is_split_between_two_pieces_of_output_is_told_whole() -> None:
    pieces = [
        line("exec_command_output_delta", call_id="c", stream="stdout", chunk=base64.b64encode(chunk).decode())
        for chunk in ("ä".encode()[:1], "ä".encode()[1:] + b"!")
    ]
    assert follow(*pieces) == [update.OutputGrew("c", "ä!")]


def test_sections_of_a_summary_begin_with_their_first_piece() -> None:
    def piece(section: int) -> bytes:
        return line("reasoning_content_delta", **PLACE, item_id="r", delta="x", summary_index=section)

    told = follow(piece(0), piece(0), piece(1))
    assert [type(one).__name__ for one in told] == [
        *("SummarySectionBegan", "SummaryGrew", "SummaryGrew", "SummarySectionBegan", "SummaryGrew")
    ]


def piece(text: str) -> bytes:
    return line("agent_message_content_delta", **PLACE, item_id="m", delta=text)


def test_a_text_that_is_broken_off_ends_with_what_has_come_of_it() -> None:
    message = {"type": "AgentMessage", "id": "m", "content": [{"type": "Text", "text": ""}], "phase": None}
    aborted = line("turn_aborted", turn_id="u", reason="interrupted", started_at=1, completed_at=2, duration_ms=1)
    ended = follow(begun(), started(message), piece("Hm"), piece("!"), aborted)[-2]
    assert isinstance(ended, update.ItemEnded)
    assert isinstance(ended.item, AgentMessage)
    assert ended.item.text == "Hm!"


def test_a_text_that_is_begun_anew_ends_before_the_new_one() -> None:
    message = {"type": "AgentMessage", "id": "m", "content": [{"type": "Text", "text": ""}], "phase": None}
    retry = line("stream_error", message="again", codex_error_info="other", additional_details=None)
    told = follow(begun(), started(message), piece("Hm"), retry, over())
    kinds = [type(one).__name__ for one in told]
    assert kinds == ["TurnBegan", "ItemBegan", "TextGrew", "ItemEnded", "Retried", "TurnFinished"]


LINES: Final = st.sampled_from(
    [
        *(begun(), over(), asked(), asked("c2"), started(command()), started(command(process_id="7"))),
        *(completed(command("completed")), b"", b"rubbish", line("unknown"), line("error", message="x")),
        line("turn_aborted", turn_id="u", reason="x", started_at=1, completed_at=2, duration_ms=1),
        *(line(kind) for kind in EVENTS),
    ]
)


@given(st.lists(LINES | st.just("gone"), max_size=30))
def test_whatever_comes_each_beginning_has_one_end(steps: list[bytes | str]) -> None:
    tracker = ThreadTracker(lambda: NOW)
    open_items: set[str] = set()
    running = False
    for step in [*steps, "gone"]:
        told = tracker.receive(step) if isinstance(step, bytes) else tracker.fail(Fault("gone"))
        for one in told:
            match one:
                case update.TurnBegan():
                    assert not running
                    running = True
                case update.TurnFinished():
                    assert running
                    running = False
                case update.ItemBegan(item=item):
                    assert item.id not in open_items
                    open_items.add(item.id)
                case update.ItemEnded(item=item):
                    open_items.remove(item.id)
    assert not running
    assert not open_items

"""A conversation's records are on disk when they are relied on, and a failing disk ends nothing."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenroom.protocol.ids import ConversationId
from greenroom.protocol.items import JsonObject
from greenroom.sessions.records.format import SessionRecord
from greenroom.sessions.storage import file as session_file
from greenroom.sessions.storage.file import SessionFile
from greenroom.workers.conversation.session_recorder import SessionRecorder
from tests.support.events import event
from tests.support.home import records
from tests.support.loop import until
from tests.support.virtual_time import in_virtual_time

CONVERSATION = ConversationId("0199f3a0-0000-7000-8000-000000000001")
META = SessionRecord("session_meta", {"id": CONVERSATION, "cwd": "/"})
MESSAGE: JsonObject = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
TOLD = event("task_complete")


class Desk:
    """A transcript in a home of its own, and what went wrong with it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.warnings: list[str] = []
        self.file = SessionFile.create(str(home), CONVERSATION, META, 0.0)
        self.transcript = SessionRecorder(self.file, self.warnings.append)

    @property
    def kinds(self) -> list[str]:
        """The lines on disk: the type of an item or event, else the kind of the line."""
        lines = list(records(Path(self.transcript.path)))
        return [str(payload["type"]) if kind in ("event_msg", "response_item") else kind for kind, payload in lines]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.transcript.close()


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The descriptors that were synced, in order."""
    calls: list[int] = []
    monkeypatch.setattr(session_file, "_sync_data", calls.append)
    return calls


def test_a_conversation_without_a_word_leaves_no_file(desk: Desk) -> None:
    desk.transcript.save()
    desk.transcript.close()
    assert not Path(desk.transcript.path).exists()


def test_what_is_saved_is_on_disk_and_synced(desk: Desk, synced: list[int]) -> None:
    desk.transcript.item(MESSAGE)
    desk.transcript.event(TOLD)
    desk.transcript.save()
    assert desk.kinds == ["session_meta", "message", "task_complete"]
    assert len(synced) == 1
    desk.transcript.save()
    assert len(synced) == 1, "there was nothing to save"


def test_what_is_written_survives_this_process(desk: Desk, synced: list[int]) -> None:
    desk.transcript.item(MESSAGE)
    desk.transcript.write()
    assert desk.kinds == ["session_meta", "message"]
    assert synced == [], "only the end of a turn waits for the disk"


def test_only_events_that_are_kept_are_kept(desk: Desk) -> None:
    desk.transcript.event(event("agent_message_delta", delta="x"))
    desk.transcript.event(event("exec_command_output_delta"))
    desk.transcript.event(TOLD)
    desk.transcript.save()
    assert desk.kinds == ["session_meta", "task_complete"]


@in_virtual_time
async def test_writing_soon_is_writing_once() -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as home:
        desk = Desk(Path(home))
        desk.transcript.item(MESSAGE)
        desk.transcript.write_soon()
        desk.transcript.write_soon()
        assert not Path(desk.transcript.path).exists()
        await until(lambda: Path(desk.transcript.path).exists())
        assert desk.kinds == ["session_meta", "message"]
        desk.transcript.item(MESSAGE)
        desk.transcript.write_soon()
        desk.transcript.close()
        assert desk.kinds == ["session_meta", "message", "message"], "the end does not wait for soon"
        await asyncio.sleep(60.0)
        assert desk.kinds == ["session_meta", "message", "message"]


def test_a_disk_that_fails_is_told_once_and_nothing_is_lost(desk: Desk) -> None:
    obstacle = desk.home / "sessions"
    obstacle.write_text("in the way")
    for _ in range(3):
        desk.transcript.item(MESSAGE)
        desk.transcript.save()
    (warning,) = desk.warnings
    assert "cannot be saved" in warning
    assert desk.transcript.path in warning
    obstacle.unlink()
    desk.transcript.save()
    assert desk.kinds == ["session_meta", "message", "message", "message"]


def test_a_second_failure_after_a_success_is_told_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    for broken in (True, False, True):
        desk.transcript.item(MESSAGE)
        with monkeypatch.context() as patch:
            if broken:
                patch.setattr(session_file, "_sync_data", fail)
            desk.transcript.save()
    assert len(desk.warnings) == 2
    assert "No space left on device" in desk.warnings[0]


def test_closing_saves_what_is_left_and_lets_others_write(desk: Desk) -> None:
    desk.transcript.item(MESSAGE)
    desk.transcript.close()
    assert desk.kinds == ["session_meta", "message"]
    again = SessionFile.resume(str(desk.home), desk.transcript.path, CONVERSATION)
    again.close()


def test_closing_on_a_broken_disk_raises_nothing(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    (desk.home / "sessions").write_text("in the way")
    desk.transcript.item(MESSAGE)
    desk.transcript.close()
    assert desk.transcript.path in caplog.text


def test_a_conversation_that_another_process_writes_is_told(desk: Desk) -> None:
    desk.transcript.item(MESSAGE)
    desk.transcript.save()
    other = Desk(desk.home)
    other.transcript.item(MESSAGE)
    other.transcript.save()
    assert "is being written by" in other.warnings[0]

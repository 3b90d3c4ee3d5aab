"""A summary is of a session file of the home, whichever way it is named, and of no other file."""

from pathlib import Path

import msgspec
import pytest

from greenroom.protocol.conversation_api import ConversationSummary
from greenroom.protocol.errors import GreenroomError
from greenroom.workers.job_context import Setting
from greenroom.workers.jobs.conversation_summary import run
from tests.support.loop import on_loop

ID = "0199aaaa-0000-7000-8000-000000000001"
NAME = f"rollout-2025-10-03T12-00-00-{ID}.jsonl"
SAID = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}


def line(kind: str, payload: object) -> bytes:
    return msgspec.json.encode({"timestamp": "2025-10-03T12:00:00.000Z", "type": kind, "payload": payload}) + b"\n"


META = line("session_meta", {"id": ID, "timestamp": "2025-10-03T12:00:00.000Z", "cwd": "/w"})


def saved(home: Path, folder: str = "sessions/2025/10/03", said: bytes = b"") -> Path:
    path = home / folder / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(META + (said or line("response_item", SAID)))
    return path


async def summary(home: Path, **members: str) -> dict[str, object]:
    params = msgspec.json.encode(msgspec.convert(members, ConversationSummary))
    told: dict[str, dict[str, object]] = msgspec.json.decode(await run(params, Setting(str(home), "")))
    return told["summary"]


@pytest.mark.parametrize("folder", ["sessions/2025/10/03", "archived_sessions"])
@on_loop
async def test_it_is_found_by_its_id_and_by_its_path(tmp_path: Path, folder: str) -> None:
    path = saved(tmp_path, folder)
    expected = {
        "conversationId": ID,
        "path": str(path),
        "preview": "hello",
        "timestamp": "2025-10-03T12:00:00.000Z",
    }
    assert await summary(tmp_path, conversationId=ID.upper()) == expected
    assert await summary(tmp_path, rolloutPath=str(path)) == expected
    assert await summary(tmp_path, rolloutPath=f"{path}.zst") == expected, "also where it was packed or unpacked since"


@on_loop
async def test_no_other_file_is_read(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    saved(home)
    other = saved(elsewhere)
    for members in (
        {"rolloutPath": str(other)},
        {"rolloutPath": "/etc/passwd"},
        {"rolloutPath": ""},
        {"conversationId": ID.replace("1", "2")},
        {},
    ):
        with pytest.raises(GreenroomError):
            await summary(home, **members)


@on_loop
async def test_a_conversation_without_a_message_has_none(tmp_path: Path) -> None:
    saved(tmp_path, said=line("turn_context", {}))
    with pytest.raises(GreenroomError, match="no message of the user"):
        await summary(tmp_path, conversationId=ID)

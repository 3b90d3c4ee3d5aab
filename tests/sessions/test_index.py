"""Saved conversations are listed by a look at both ends of their files, and read back as they were said."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from greenroom.protocol.errors import SessionFileError, SessionUnknownError
from greenroom.protocol.ids import ConversationId
from greenroom.sessions import index as session_index
from greenroom.sessions.index import HEAD, TAIL, SessionEntry, entries, passages, search
from greenroom.sessions.records.passage import Passage
from greenroom.sessions.records.restored import TITLE, restore
from greenroom.sessions.storage.finder import list_sessions
from greenroom.workers.patch.stored import as_diff

DAY = "2026/11/22"
FIRST = ConversationId("01a20312-0577-77d3-9bb9-ad78bbf82560")
SECOND = ConversationId("01a20312-0577-77d3-9bb9-ad78bbf89999")


def line(kind: str, **payload: Any) -> str:
    return json.dumps({"timestamp": "2026-11-22T11:44:02.472Z", "type": kind, "payload": payload})


def meta(conversation_id: str = FIRST, **more: Any) -> str:
    return line("session_meta", id=conversation_id, cwd="/home/ada/shop", model_provider="mock", **more)


def item(**payload: Any) -> str:
    return line("response_item", **payload)


def said(role: str, text: str) -> str:
    kind = "output_text" if role == "assistant" else "input_text"
    return item(type="message", role=role, content=[{"type": kind, "text": text}])


def called(name: str, arguments: Any, call_id: str = "c") -> str:
    return item(type="function_call", name=name, arguments=json.dumps(arguments), call_id=call_id)


def answered(output: Any, call_id: str = "c") -> str:
    return item(type="function_call_output", call_id=call_id, output=output)


def context(model: str, cwd: str = "/home/ada/shop") -> str:
    return line("turn_context", cwd=cwd, model=model)


def used(tokens: int) -> str:
    return line("event_msg", type="token_count", info={"total_token_usage": {"total_tokens": tokens}})


ENVIRONMENT = said("user", "<environment_context>\n  <cwd>/x</cwd>\n</environment_context>")


def save(home: Path, *lines: str, conversation_id: str = FIRST, second: int = 0) -> Path:
    folder = home / "sessions" / DAY
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"rollout-2026-11-22T10-00-{second:02}-{conversation_id}.jsonl"
    path.write_text("".join(f"{one}\n" for one in lines))
    return path


def only(home: Path) -> SessionEntry:
    (entry,) = entries(str(home))
    return entry


def test_an_entry_tells_what_a_conversation_is_about(tmp_path: Path) -> None:
    path = save(tmp_path, meta(), ENVIRONMENT, context("gpt-5"), said("user", "  Mend\nthe build "), used(30))
    os.utime(path, (7, 7))
    assert only(tmp_path) == SessionEntry(
        id=FIRST,
        path=str(path),
        started="2026-11-22T10-00-00",
        changed_at=7.0,
        size=path.stat().st_size,
        cwd="/home/ada/shop",
        model="gpt-5",
        title="Mend the build",
        tokens=30,
        outcome="unfinished",
    )


def test_a_title_is_short(tmp_path: Path) -> None:
    save(tmp_path, meta(), said("user", "word " * 1000))
    title = only(tmp_path).title
    assert title is not None
    assert len(title) == TITLE


def test_a_long_file_is_known_by_its_two_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filler = [said("assistant", "x" * 10_000) for _ in range(2 * HEAD // 10_000)]
    middle = "no JSON at all " * 10_000
    begun = (meta(), context("gpt-5"), said("user", "Begin"))
    save(tmp_path, *begun, *filler, middle, *filler, context("gpt-6", "/srv"), used(99))
    entry = only(tmp_path)
    assert entry.size > 2 * HEAD
    assert (entry.title, entry.model, entry.cwd, entry.tokens) == ("Begin", "gpt-6", "/srv", 99)


@pytest.mark.parametrize("extra", [0, 1000, TAIL, TAIL + 1000])
def test_the_end_of_a_file_is_seen_however_little_it_has_beyond_its_beginning(tmp_path: Path, extra: int) -> None:
    path = save(tmp_path, meta(), said("user", "Begin"))
    with path.open("a") as file:
        filler = said("assistant", "x" * (HEAD - path.stat().st_size + extra))
        file.write(f"{filler}\n{used(99)}\n{context('gpt-6')}\n")
    entry = only(tmp_path)
    assert (entry.title, entry.tokens, entry.model) == ("Begin", 99, "gpt-6")


def test_the_latest_come_first_and_only_as_many_as_wanted(tmp_path: Path) -> None:
    save(tmp_path, meta(FIRST), second=1)
    save(tmp_path, meta(SECOND), conversation_id=SECOND, second=2)
    assert [entry.id for entry in entries(str(tmp_path))] == [SECOND, FIRST]
    assert [entry.id for entry in entries(str(tmp_path), 1)] == [SECOND]
    assert list(entries(str(tmp_path / "missing"))) == []


@pytest.mark.parametrize("content", ["", "nothing\n", "{}\n", '{"type":"session_meta"}\n'])
def test_a_file_that_cannot_be_read_is_listed_with_its_fault(tmp_path: Path, content: str) -> None:
    save(tmp_path).write_text(content)
    entry = only(tmp_path)
    assert entry.id == FIRST
    assert entry.fault
    assert entry.title is None


def test_one_that_has_just_been_removed_is_not_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path, meta())
    names = list(list_sessions(str(tmp_path)))
    path.unlink()
    monkeypatch.setattr(session_index, "list_sessions", lambda _: iter(names))
    assert list(entries(str(tmp_path))) == []


def test_ids_are_found_by_names_alone(tmp_path: Path) -> None:
    save(tmp_path).write_text("no session")
    assert search(str(tmp_path), lambda one: one.endswith("82560")) == [FIRST]
    assert search(str(tmp_path), lambda one: one.endswith("99")) == []


def test_a_conversation_reads_as_it_was_said(tmp_path: Path) -> None:
    save(
        tmp_path,
        meta(),
        said("developer", "be good"),
        ENVIRONMENT,
        said("user", "Mend the build"),
        item(type="reasoning", summary=[{"type": "summary_text", "text": "Look first."}]),
        item(type="reasoning", summary=[], encrypted_content="x"),
        called("shell", {"command": ["bash", "-lc", "make test"]}, "1"),
        answered('{"output":"2 failed\\n","metadata":{"exit_code":2}}', "1"),
        called("shell", {"command": ["ls", "a b"]}, "2"),
        answered("a b", "2"),
        called("exec_command", {"cmd": "true"}, "3"),
        answered([{"type": "input_text", "text": "done"}], "3"),
        called("update_plan", {"plan": []}, "4"),
        item(type="custom_tool_call", name="apply_patch", input="*** Begin Patch", call_id="5"),
        item(type="custom_tool_call_output", call_id="5", output="Success"),
        item(type="local_shell_call", id="6", action={"type": "exec", "command": ["id"]}, status="completed"),
        said("assistant", "It is mended."),
        item(type="message", role="user", content=[{"type": "input_image", "image_url": "data:"}]),
    )
    assert passages(str(tmp_path), FIRST) == [
        Passage("user", "Mend the build"),
        Passage("reasoning", "Look first."),
        Passage("call", "$ make test"),
        Passage("output", "2 failed\n"),
        Passage("call", "$ ls 'a b'"),
        Passage("output", "a b"),
        Passage("call", "$ true"),
        Passage("output", "done"),
        Passage("call", 'update_plan {"plan": []}'),
        Passage("call", "apply_patch\n*** Begin Patch"),
        Passage("output", "Success"),
        Passage("call", "$ id"),
        Passage("agent", "It is mended."),
        Passage("user", "(an image)"),
    ]


def test_what_is_not_there_or_not_readable_is_said(tmp_path: Path) -> None:
    with pytest.raises(SessionUnknownError, match=FIRST):
        passages(str(tmp_path), FIRST)
    save(tmp_path).write_text("garbage\n")
    with pytest.raises(SessionFileError):
        passages(str(tmp_path), FIRST)


# What is read whole


def ended(text: str, answer: str = "yes") -> list[str]:
    return [
        line("event_msg", type="task_started"),
        context("gpt-5"),
        said("user", text),
        said("assistant", answer),
        line("event_msg", type="task_complete"),
    ]


def test_a_story_tells_all_turns(tmp_path: Path) -> None:
    save(tmp_path, meta(), *ended("one"), line("compacted", message="x", replacement_history=[]), *ended("two"))
    told = session_index.story(str(tmp_path), FIRST)
    assert told.turns == 2
    assert told.told == [
        (1, Passage("user", "one")),
        (1, Passage("agent", "yes")),
        (2, Passage("user", "two")),
        (2, Passage("agent", "yes")),
    ]
    assert (told.entry.id, told.entry.cwd, told.entry.model) == (FIRST, "/home/ada/shop", "gpt-5")


def test_pages_follow_one_another_and_each_conversation_is_on_one(tmp_path: Path) -> None:
    ids = [ConversationId(f"01a20312-0577-77d3-9bb9-0000000000{number:02}") for number in range(5)]
    for number, conversation_id in enumerate(ids):
        save(tmp_path, meta(conversation_id), conversation_id=conversation_id, second=number // 2)
    found: list[ConversationId] = []
    after = ""
    for size in (2, 2, 1):
        listed, more = session_index.session_page(str(tmp_path), 2, after)
        assert len(listed) == size
        found += [entry.id for entry in listed]
        after = more or ""
    assert found == ids[::-1]
    assert after == ""


@pytest.mark.parametrize("after", ["x", " ", "x ", " x"])
def test_a_place_that_no_page_has_named_is_refused(tmp_path: Path, after: str) -> None:
    with pytest.raises(ValueError, match="not where a page has ended"):
        session_index.session_page(str(tmp_path), 2, after)


@pytest.mark.parametrize(("turns", "texts"), [(None, ["one", "two"]), (1, ["one"]), (2, ["one", "two"])])
def test_a_fork_has_the_turns_that_were_asked_for(tmp_path: Path, turns: int | None, texts: list[str]) -> None:
    before = save(tmp_path, meta(), *ended("one"), *ended("two"), *ended("three")[:-1]).read_bytes()
    made = session_index.fork_conversation(str(tmp_path), FIRST, turns)
    assert made.turns == len(texts)
    told = session_index.story(str(tmp_path), made.conversation_id)
    assert [passage.text for _, passage in told.told if passage.speaker == "user"] == texts
    assert (told.entry.id, told.turns, told.entry.cwd) == (made.conversation_id, len(texts), "/home/ada/shop")
    path = next(entry.path for entry in entries(str(tmp_path)) if entry.id == made.conversation_id)
    assert json.loads(Path(path).read_bytes().splitlines()[0])["payload"]["forked_from_id"] == FIRST
    assert Path(path).stat().st_mode & 0o777 == 0o600
    assert session_index.story(str(tmp_path), FIRST).turns == 2
    assert next(entry.path for entry in entries(str(tmp_path)) if entry.id == FIRST) != path
    assert before == next(Path(entry.path).read_bytes() for entry in entries(str(tmp_path)) if entry.id == FIRST)


FORMER = json.dumps({"id": FIRST, "timestamp": "2025-08-19T14:03:07.412Z", "instructions": None})
FORMER_STATE = '{"record_type":"state"}'


def bare(role: str, text: str) -> str:
    return json.dumps(json.loads(said(role, text))["payload"])


def former(text: str, answer: str = "yes") -> list[str]:
    return [bare("user", text), FORMER_STATE, bare("assistant", answer), FORMER_STATE]


@pytest.mark.parametrize(("turns", "texts"), [(None, ["one", "two"]), (1, ["one"]), (2, ["one", "two"])])
def test_a_fork_of_a_file_of_august_2025_is_one_too(tmp_path: Path, turns: int | None, texts: list[str]) -> None:
    save(tmp_path, FORMER, *former("one"), *former("two"), bare("user", "three"))
    made = session_index.fork_conversation(str(tmp_path), FIRST, turns)
    assert made.turns == len(texts)
    told = session_index.story(str(tmp_path), made.conversation_id)
    assert [passage.text for _, passage in told.told if passage.speaker == "user"] == texts
    path = next(entry.path for entry in entries(str(tmp_path)) if entry.id == made.conversation_id)
    with open(path, "rb") as file:
        restored = restore(file)
    assert (restored.conversation_id, restored.is_2025, restored.torn) == (made.conversation_id, True, False)
    assert [item["role"] for item in restored.items] == ["user", "assistant"] * len(texts)
    assert json.loads(Path(path).read_bytes().splitlines()[0])["forked_from_id"] == FIRST


@pytest.mark.parametrize("turns", [0, -1, 3])
def test_there_is_no_fork_after_a_turn_that_has_not_been(tmp_path: Path, turns: int) -> None:
    save(tmp_path, meta(), *ended("one"), *ended("two"))
    with pytest.raises(SessionFileError, match=f"cannot be forked: 2 of its turns have ended, .* no turn {turns} "):
        session_index.fork_conversation(str(tmp_path), FIRST, turns)


def test_what_is_not_saved_cannot_be_read_or_forked(tmp_path: Path) -> None:
    assert not session_index.exists(str(tmp_path), FIRST)
    for ask in (
        session_index.story,
        session_index.file_changes,
        lambda home, one: session_index.fork_conversation(home, one, None),
    ):
        with pytest.raises(SessionUnknownError):
            ask(str(tmp_path), FIRST)
    save(tmp_path, '{"id":"x","timestamp":"y"}')
    assert session_index.exists(str(tmp_path), FIRST)
    with pytest.raises(SessionFileError, match="does not begin with the metadata of a session"):
        session_index.fork_conversation(str(tmp_path), FIRST, None)


def test_the_diff_has_every_patch_that_was_applied(tmp_path: Path) -> None:
    changes = {"/home/ada/shop/a.txt": {"add": {"content": "hello\n"}}}
    save(tmp_path, meta(), *ended("one"), line("event_msg", type="patch_apply_end", success=True, changes=changes))
    found = session_index.file_changes(str(tmp_path), FIRST)
    assert as_diff(found.patches, found.cwd) == (
        "diff --git a/a.txt b/a.txt\nnew file mode 100644\n--- /dev/null\n+++ b/a.txt\n@@ -0,0 +1 @@\n+hello\n"
    )


def test_a_fork_keeps_members_that_only_later_releases_know(tmp_path: Path) -> None:
    first = json.loads(meta(future={"x": [1, 2**70]}))
    first["future"] = {"y": None}
    odd = json.loads(said("user", "hello"))
    odd["future"] = odd["payload"]["future"] = odd["payload"]["content"][0]["future"] = 1.5
    end = line("event_msg", type="task_complete", future=[])
    save(tmp_path, json.dumps(first), line("event_msg", type="task_started"), json.dumps(odd), end)
    made = session_index.fork_conversation(str(tmp_path), FIRST, None)
    (path,) = [one.path for one in entries(str(tmp_path)) if one.id == made.conversation_id]
    lines = [json.loads(text) for text in Path(path).read_text().splitlines()]
    assert (lines[0]["future"], lines[0]["payload"]["future"]) == (first["future"], first["payload"]["future"])
    assert (lines[3], lines[4]) == (odd, json.loads(end))


def test_a_turn_that_may_have_begun_in_what_is_not_read_counts_as_one(tmp_path: Path) -> None:
    filler = [said("assistant", "x" * 10_000) for _ in range(2 * HEAD // 10_000)]
    begun = line("event_msg", type="task_started")
    save(tmp_path, meta(), *ended("first"), *filler, begun, said("user", "second"), *filler)
    assert only(tmp_path).outcome == "unfinished"
    save(tmp_path, meta(), *ended("first"), *filler, begun, *filler, line("event_msg", type="task_complete"))
    assert only(tmp_path).outcome == "completed"

"""A conversation is followed as its file grows, whatever happens to the file."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greenroom.protocol.ids import ConversationId
from greenroom.sessions import shelf
from greenroom.supervisor.cli.dashboard import transcript as module
from greenroom.supervisor.cli.dashboard.passage_text import LONGEST
from greenroom.supervisor.cli.dashboard.transcript import KEPT, MOST, Entry, Growth, PlanEntry, TranscriptReader
from greenroom.workers.tools.catalog import TOOLS
from tests.sessions.test_index import line, meta, said, save
from tests.supervisor.cli.dashboard import script
from tests.supervisor.cli.dashboard.scenes import conversation_id

ID = ConversationId(conversation_id(0))
UNDONE = line("event_msg", type="thread_rolled_back", num_turns=1)
LINES = st.lists(
    st.sampled_from(
        [
            said("user", "Go on"),
            said("assistant", "Done."),
            *script.plan(1, "p"),
            *script.shell("ls", "a\nb", "s"),
            script.thinks("hm"),
            line("event_msg", type="task_started", turn_id="1"),
            line("event_msg", type="task_complete", turn_id="1"),
            UNDONE,
            "no JSON at all",
        ]
    ),
    max_size=12,
)


class Shown:
    """What a page shows."""

    def __init__(self, home: Path) -> None:
        self.reading = TranscriptReader(str(home), ID)
        self.entries: list[Entry] = []
        self.plan: tuple[PlanEntry, ...] = ()
        self.growth: Growth | None = None

    def look(self) -> "Shown":
        self.growth = growth = self.reading.grown()
        if growth is not None:
            self.entries = [*([] if growth.is_whole else self.entries), *growth.entries]
            self.plan = self.plan if growth.plan is None else growth.plan
        return self

    def close(self) -> None:
        self.reading.close()


def fresh(home: Path) -> tuple[list[Entry], tuple[PlanEntry, ...]]:
    shown = Shown(home).look()
    shown.close()
    return shown.entries, shown.plan


def test_messages_actions_and_the_plan_are_shown(tmp_path: Path) -> None:
    script.write(tmp_path, script.begun())
    entries, plan = fresh(tmp_path)
    assert [entry.speaker for entry in entries] == ["user", "reasoning", "call", "output", "call", "output", "agent"]
    assert {entry.turn for entry in entries} == {1}
    assert entries[2].text == "$ for n in $(seq 40); do pytest -q tests/test_jobs.py; done"
    assert [step.status for step in plan] == ["completed", "completed", "completed", "in_progress"]
    assert [step.text for step in plan] == list(script.STEPS)


def test_only_what_is_new_is_told(tmp_path: Path) -> None:
    path = script.write(tmp_path, script.begun())
    shown = Shown(tmp_path).look()
    assert shown.look().growth is None
    script.append(path, said("assistant", "All twenty runs pass."), *script.plan(4, "p5"))
    growth = shown.look().growth
    assert growth is not None
    assert growth.entries == (Entry(1, "agent", "All twenty runs pass."),)
    assert growth.plan is not None
    assert not growth.is_whole
    script.append(path, said("assistant", "Bye."))
    growth = shown.look().growth
    assert growth is not None
    assert growth.plan is None, "the plan has not changed"
    shown.close()


@given(LINES, st.lists(st.floats(0, 1), max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_however_a_file_grows_the_page_shows_what_it_holds(tmp_path: Path, lines: list[str], cuts: list[float]) -> None:
    path = save(tmp_path, meta(ID), conversation_id=ID)
    content = path.read_bytes() + "".join(f"{one}\n" for one in lines).encode()
    shown = Shown(tmp_path)
    try:
        for end in [*sorted(round(cut * len(content)) for cut in cuts), len(content)]:
            path.write_bytes(b"")  # the same file
            path.write_bytes(content[:end]) if end == 0 else _grow(path, content[:end])
            shown.look()
        assert (shown.entries, shown.plan) == fresh(tmp_path)
    finally:
        shown.close()


def _grow(path: Path, content: bytes) -> None:
    with path.open("r+b") as file:
        file.write(content)


def test_what_was_rolled_back_is_not_shown_any_more(tmp_path: Path) -> None:
    path = save(tmp_path, meta(ID), said("user", "One"), said("assistant", "1"), conversation_id=ID)
    shown = Shown(tmp_path).look()
    script.append(path, line("event_msg", type="task_started", turn_id="2"), said("user", "Two"), *script.plan(1, "p"))
    shown.look()
    assert [entry.text for entry in shown.entries] == ["One", "1", "Two"]
    script.append(path, UNDONE, said("user", "Three"))
    shown.look()
    assert [entry.text for entry in shown.entries] == ["One", "1", "Three"]
    shown.close()


def test_a_file_that_is_compressed_or_replaced_is_read_again(tmp_path: Path) -> None:
    path = script.write(tmp_path, script.begun())
    shown = Shown(tmp_path).look()
    expected = list(shown.entries)
    other = path.with_suffix(".new")
    other.write_bytes(path.read_bytes() + f"{said('assistant', 'Another file.')}\n".encode())
    os.replace(other, path)
    shown.look()
    assert shown.entries == [*expected, Entry(1, "agent", "Another file.")]
    shelf.compress(str(tmp_path), ID)
    assert not path.exists()
    shown.look()
    assert shown.entries == [*expected, Entry(1, "agent", "Another file.")]
    assert shown.look().growth is None
    shown.close()


def test_a_conversation_without_a_file_says_so_until_it_has_one(tmp_path: Path) -> None:
    shown = Shown(tmp_path).look()
    assert shown.growth is not None
    assert shown.growth.fault == "the conversation has no session file yet"
    assert shown.look().growth is None, "it is said once"
    script.write(tmp_path, script.begun())
    assert shown.look().entries
    assert (again := shown.growth) is not None
    assert (again.is_whole, again.fault) == (True, None)
    shown.close()


def test_of_a_long_conversation_the_end_is_shown_and_the_rest_counted(tmp_path: Path) -> None:
    count = 2 * KEPT + 7
    plan = script.plan(2, "p")
    said_before = [said("assistant", f"{number}") for number in range(count)]
    path = save(tmp_path, meta(ID), said("user", "Count"), *plan, *said_before, conversation_id=ID)
    shown = Shown(tmp_path).look()
    assert len(shown.entries) == MOST
    assert shown.entries[-1].text == str(count - 1)
    assert shown.growth is not None
    assert shown.growth.left_out == count + 1 - MOST
    assert [step.status for step in shown.plan][:3] == ["completed", "completed", "in_progress"], "however old it is"
    script.append(path, said("assistant", "next"))
    shown.look()
    assert (shown.growth.entries, shown.entries[-1].text) == ((Entry(1, "agent", "next"),), "next")
    shown.close()


def test_a_huge_text_is_cut_in_its_middle(tmp_path: Path) -> None:
    save(tmp_path, meta(ID), said("user", f"begin{'x' * 10 * LONGEST}end"), conversation_id=ID)
    ((_, _, text),), _ = fresh(tmp_path)
    assert len(text) < LONGEST + 100
    assert text.startswith("begin")
    assert text.endswith("end")
    assert "180008 characters are left out" in text


@given(st.text(st.characters(exclude_categories=[]), max_size=60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_controls_or_hides_anything(tmp_path: Path, text: str) -> None:
    raw = json.loads(said("user", "?"))
    raw["payload"]["content"][0]["text"] = f"a{text}\x1b[31m\u202eb\x00"
    save(tmp_path, meta(ID), json.dumps(raw), conversation_id=ID)
    entries, _ = fresh(tmp_path)
    for entry in entries:
        entry.text.encode()
        assert not {"\x1b", "\u202e", "\x00", "\r"} & set(entry.text)


def test_a_file_that_may_not_be_read_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = script.write(tmp_path, script.begun())
    secret = tmp_path / "auth.json"
    secret.write_text(path.read_text())
    path.unlink()
    path.symlink_to(secret)
    shown = Shown(tmp_path).look()
    assert shown.growth is not None
    assert shown.growth.fault
    assert shown.entries == []


def test_the_tool_is_the_one_that_makes_plans() -> None:
    assert [tool.name for tool in TOOLS if tool.handler == "plan.update_plan"] == [module.PLAN_TOOL]

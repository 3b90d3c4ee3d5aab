"""Whatever replaces a file named by others, each of its readers reveals no secret and terminates."""

import os
from collections.abc import Callable
from typing import Final

import pytest

from greenroom.config.saved_prompts import saved_prompts
from greenroom.config.settings import ConversationOverrides, resolve_settings
from greenroom.protocol.errors import GreenroomError
from greenroom.sessions.history_file import remember
from greenroom.sessions.replay import initial_messages
from greenroom.sessions.storage.file import read
from greenroom.workers.conversation.prompt.project_doc import Search, read_project_doc
from greenroom.workers.conversation.prompt.prompt import input_message
from greenroom.workers.jobs.list_sessions import preview
from greenroom.workers.patch.disk import Disk
from greenroom.workers.patch.errors import PatchError
from greenroom.workers.patch.language import parse_patch
from greenroom.workers.patch.plan import plan_patch
from greenroom.workers.patch.snapshot import take
from tests.config.test_reader import KEY, REFUSED, Folders, folders

__all__ = ["folders"]

ABSENT: Final = frozenset({"nothing", "link to nothing"})
WRITABLE: Final = frozenset({"terminal", "device", "memory", "huge file", "closed directory"})
"""What a history that leads there may write into, or what cannot be opened for writing at all."""
PATCHES: Final = (
    "*** Update File: AGENTS.md\n@@\n-plain\n+x",
    "*** Update File: AGENTS.md\n*** Move to: copy\n@@\n-plain\n+x",
    "*** Delete File: AGENTS.md",
)


def _project(at: Folders) -> str:
    doc = read_project_doc(at.reader, str(at.home / "none"), [str(at.work)])
    return f"{doc.text or ''}{doc.notes}"


def _fallback(at: Folders) -> str:
    os.rename(at.place, at.work / "NOTES.md")
    doc = read_project_doc(at.reader, str(at.home / "none"), [str(at.work)], Search(fallback_names=("NOTES.md",)))
    return f"{doc.text or ''}{doc.notes}"


def _home(at: Folders) -> str:
    doc = read_project_doc(at.reader, str(at.work), [str(at.closed)])
    return f"{doc.text or ''}{doc.notes}"


def _image(at: Folders) -> str:
    return str(input_message([{"type": "local_image", "path": str(at.place)}], at.reader.read))


def _patches(at: Folders) -> str:
    said = []
    for lines in PATCHES:
        patch = parse_patch(f"*** Begin Patch\n{lines}\n*** End Patch")
        try:
            said.append(str(plan_patch(patch, str(at.work), Disk(at.reader)).changes))
        except PatchError as error:
            said.append(f"could not: {error}")
    return "\n".join(said)


def _settings(at: Folders) -> str:
    overrides = ConversationOverrides(config={"model_instructions_file": "AGENTS.md"}, cwd=str(at.work))
    try:
        return str(resolve_settings(str(at.home), (), overrides, "/", {}).base_instructions)
    except GreenroomError as error:
        return f"could not: {error}"


def _prompts(at: Folders) -> str:
    (at.home / "prompts").mkdir()
    (at.home / "prompts" / "x.md").symlink_to(at.place)
    return f"could not: {saved_prompts(str(at.home))}"


def _session(at: Folders) -> str:
    try:
        return str(read(at.reader, str(at.place)))
    except GreenroomError as error:
        return f"could not: {error}{initial_messages(at.reader, str(at.place))}{preview(at.reader, str(at.place))}"


READERS: Final[dict[str, Callable[[Folders], str]]] = {
    "instructions of a project": _project,
    "instructions of another name": _fallback,
    "instructions of a home": _home,
    "image": _image,
    "patches": _patches,
    "file of settings": _settings,
    "saved prompt": _prompts,
    "session": _session,
}


CASES: Final = [
    (name, reader)
    for name in sorted(REFUSED.keys() - ABSENT)
    for reader in READERS
    # a loop is one of its own name, and those two know only the home
    if (name, reader) != ("loop", "instructions of another name")
    and not (name == "closed directory" and reader in {"file of settings", "saved prompt"})
]


@pytest.mark.parametrize(("name", "reader"), CASES)
def test_no_reader_gives_away_a_secret_or_hangs_and_each_says_that_it_has_not_read(
    folders: Folders, name: str, reader: str
) -> None:
    plant, _ = REFUSED[name]
    plant(folders)
    said = READERS[reader](folders)
    assert KEY not in said
    assert any(word in said for word in ("could not", "cannot be read")) or _was_cut(name, reader)


def _was_cut(name: str, reader: str) -> bool:
    """A project's instructions are read as far as there is room."""
    return name == "huge file" and reader in {"instructions of a project", "instructions of another name"}


@pytest.mark.parametrize("name", sorted(REFUSED.keys() - ABSENT))
def test_the_diff_of_a_turn_shows_none_of_it(folders: Folders, name: str) -> None:
    plant, _ = REFUSED[name]
    plant(folders)
    for path in (str(folders.place), os.path.realpath(folders.place)):
        found = take(path, folders.reader)
        assert found is None or KEY not in (found.text or "")


@pytest.mark.parametrize("name", sorted(REFUSED.keys() - ABSENT - WRITABLE))
def test_the_history_of_messages_is_not_written_into_any_of_it(folders: Folders, name: str) -> None:
    plant, _ = REFUSED[name]
    plant(folders)
    (folders.home / "history.jsonl").symlink_to(folders.place)
    secrets = [path for path in folders.home.iterdir() if path.is_file() and path.name != "history.jsonl"]
    before = [path.read_bytes() for path in secrets]
    with pytest.raises(OSError, match=r"\d|lock"):
        remember(str(folders.home), "c", "said", 0.0, None)  # type: ignore[arg-type]
    assert [path.read_bytes() for path in secrets] == before


@pytest.mark.parametrize("reader", sorted(READERS.keys() - {"image", "saved prompt", "session"}))
def test_each_reader_reads_what_may_be_read(folders: Folders, reader: str) -> None:
    folders.place.write_text("plain\n")
    said = READERS[reader](folders)
    assert "plain" in said
    assert "could not" not in said

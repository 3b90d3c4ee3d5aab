"""A saved conversation as a document: Markdown for people, JSON for programs.

Session files hold texts of models, repositories and servers. In Markdown they are cleaned of what could steer a
terminal or hide anything; in JSON every character beyond ASCII is escaped.
"""

import io
import json
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

import msgspec
from msgspec.structs import asdict, replace

from greenroom.protocol.display import clean, clean_lines
from greenroom.protocol.errors import ConfigError, SessionFileError, SessionUnknownError
from greenroom.sessions.index import Story, story_of
from greenroom.sessions.records.passage import Passage
from greenroom.sessions.storage.finder import SessionName
from greenroom.supervisor.cli.output import UntilReaderLeaves, refuse
from greenroom.supervisor.cli.status.diagnostics import DEGRADED, NOTHING, WELL
from greenroom.supervisor.cli.status.session_choice import ChoiceError, choose_session, home_of_user
from greenroom.supervisor.frontend.mcp import transcript

VERSION: Final = 1
"""Of the form of exported JSON; within it, members may be added."""


def run_export(arguments: Namespace) -> int:
    """Write one conversation to standard output, or to a new file."""
    try:
        home = home_of_user()
        story = whole(home, choose_session(home, arguments.conversation))
    except (ConfigError, ChoiceError) as error:
        return refuse(NOTHING, str(error))
    except (SessionFileError, SessionUnknownError) as error:
        return refuse(DEGRADED, str(error))
    text = FORMATS[arguments.format](story)
    return write_out(text) if arguments.output is None else _write(arguments.output, text)


def whole(home: str, name: SessionName) -> Story:
    """Return all of a conversation. Raises `SessionFileError` or `SessionUnknownError`."""
    story = story_of(home, name)
    if story.entry.fault is not None:
        raise SessionFileError(f"Session file {name.path} cannot be read: {story.entry.fault}")
    return story


def write_out(text: str) -> int:
    """Write to standard output, and return the exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    with UntilReaderLeaves():
        sys.stdout.write(text)
    return WELL


def as_markdown(story: Story) -> str:
    """Return all of a conversation as Markdown that is safe to print."""
    entry = story.entry
    cleaned = replace(entry, title=clean(entry.title or ""), cwd=clean(entry.cwd or ""), model=clean(entry.model or ""))
    told = [(turn, Passage(passage.speaker, _cleaned(passage.text))) for turn, passage in story.told]
    return transcript.markdown(replace(story, entry=cleaned, told=told), sys.maxsize)


def story_as_json(story: Story) -> str:
    """Return all of a conversation as one JSON object."""
    entry = {**asdict(story.entry), "state": story.entry.state}
    del entry["outcome"]
    document = {
        "version": VERSION,
        "conversation": {**entry, "path": story.entry.path.encode("utf-8", "replace").decode()},
        "turns": story.log,
        "passages": [{"turn": turn, "speaker": one.speaker, "text": one.text} for turn, one in story.told],
    }
    return json.dumps(msgspec.to_builtins(document), indent=2) + "\n"


FORMATS: Final[Mapping[str, Callable[[Story], str]]] = {"markdown": as_markdown, "json": story_as_json}


def _cleaned(text: str) -> str:
    return "\n".join(clean_lines(text.expandtabs()))


def _write(path: str, text: str) -> int:
    """Write a new file that only the user can read; one that is there stays as it is."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        return refuse(DEGRADED, f"{path}: {error.strerror}")
    except OSError as error:
        with suppress(OSError):  # the half of a text is worth nothing
            os.unlink(path)
        return refuse(DEGRADED, f"{path}: {error.strerror}")
    return WELL

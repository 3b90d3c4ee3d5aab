"""Finds and reads the AGENTS.md files that apply to a directory.

Two sources: the Codex home, and the project from its root down to the directory. A file that cannot be read is
skipped and named in `notes`; the others are read all the same.
"""

import codecs
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from greenroom.config.encoding import EncodingError, refuse_other_encodings
from greenroom.config.reader import Reader
from greenroom.config.reason import reason

OVERRIDE_NAME: Final = "AGENTS.override.md"
DEFAULT_NAME: Final = "AGENTS.md"
DEFAULT_MAX_BYTES: Final = 32 * 1024
HOME_MAX_BYTES: Final = 1024 * 1024
"""The user's file for all projects is read whole, or not at all where it is larger."""
SEPARATOR: Final = "\n\n--- project-doc ---\n\n"
"""Separates the text of the home from the text of the project."""


class ProjectDoc(msgspec.Struct, frozen=True):
    """The text of all files, and their paths."""

    text: str | None = None
    """`None` where all files are blank, or there are none."""
    sources: tuple[str, ...] = ()
    """Paths of the files in `text`, in its order."""
    notes: tuple[str, ...] = ()
    """Warnings for the user: files that could not be read or did not fit."""


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """The rules of the search for the project's files."""

    max_bytes: int = DEFAULT_MAX_BYTES
    """The limit of all files of the project together; 0 for a project that the user does not trust."""
    fallback_names: tuple[str, ...] = ()
    """File names that are tried in each directory after the two usual ones."""


def read_project_doc(reader: Reader, home: str, directories: Sequence[str], search: Search | None = None) -> ProjectDoc:
    """Return the files of a home, and those of a project's `directories`. Paths are absolute, and need not exist."""
    notes: list[str] = []
    home_files = _read_home(reader, home, notes)
    project_files = _read_project(reader, directories, search or Search(), notes)
    texts = ["\n\n".join(text for _, text in files) for files in (home_files, project_files) if files]
    return ProjectDoc(
        text=SEPARATOR.join(texts) or None,
        sources=tuple(path for path, _ in home_files + project_files),
        notes=tuple(notes),
    )


def project_directories(cwd: str, root_markers: Sequence[str]) -> list[str]:
    """Return the directories from the project's root down to `cwd`, links resolved; only `cwd` where no root is found.

    `root_markers` are names of entries that mark a root.
    """
    cwd = os.path.realpath(cwd)
    upwards: list[str] = []
    for directory in _upwards(cwd):
        upwards.append(directory)
        if any(os.path.lexists(os.path.join(directory, marker)) for marker in root_markers if marker):
            return upwards[::-1]
    return [cwd]


def _upwards(directory: str) -> Iterator[str]:
    yield directory
    while (parent := os.path.dirname(directory)) != directory:
        directory = parent
        yield directory


def _read_home(reader: Reader, home: str, notes: list[str]) -> list[tuple[str, str]]:
    for name in (OVERRIDE_NAME, DEFAULT_NAME):
        path = os.path.join(home, name)
        data = _read(path, lambda path: reader.read(path, HOME_MAX_BYTES), notes)
        if data is not None and (text := _decoded(data).strip()):
            return [(path, text)]
    return []


def _read_project(
    reader: Reader, directories: Sequence[str], search: Search, notes: list[str]
) -> list[tuple[str, str]]:
    names = (OVERRIDE_NAME, DEFAULT_NAME, *(name for name in search.fallback_names if name))
    files: list[tuple[str, str]] = []
    budget = search.max_bytes
    for directory in directories if budget > 0 else ():
        for path in (os.path.join(directory, name) for name in names):
            data = _read(path, lambda path, size=budget + 1: reader.read_start(path, size), notes)  # type: ignore[misc]
            if data is None:
                continue
            if text := _fitting(path, data, budget, notes):
                files.append((path, text))
                budget -= min(len(data), budget)
            break
    return files


def _fitting(path: str, data: bytes, budget: int, notes: list[str]) -> str | None:
    """Return the text of a file within the budget, `None` for one that is blank."""
    text = _decoded(data)
    if not text.strip():
        return None
    if len(data) > budget:
        left_out = "is left out" if budget == 0 else f"is cut after {budget} bytes"
        notes.append(f"{path} {left_out}: together the project's files may have `project_doc_max_bytes`.")
        text = _decoded(data[:budget])
    return text if text.strip() else None


def _read(path: str, read: Callable[[str], bytes], notes: list[str]) -> bytes | None:
    """Return the content of a file; `None` if it is absent, or, with a note, if it cannot or must not be read."""
    try:
        data = read(path)
        refuse_other_encodings(data)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, EncodingError) as error:
        notes.append(f"{path} could not be read: {reason(error)}.")
        return None
    return data


def _decoded(data: bytes) -> str:
    """Decode UTF-8, with replacement characters for invalid bytes; a character that the end cuts in two is dropped."""
    return codecs.getincrementaldecoder("utf-8-sig")("replace").decode(data)

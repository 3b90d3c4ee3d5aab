"""Which saved conversations are wanted, by their text, directory, time and state.

What an entry of the directory tells is looked at first, then the whole of the file where a text is looked for, then its
two ends.
"""

import math
import os
from collections.abc import Iterable, Iterator

import msgspec

from greenroom.config.reader import Reader
from greenroom.protocol.errors import SessionFileError
from greenroom.sessions.index import SavedState, SessionEntry, entries_of
from greenroom.sessions.names import names as given_names
from greenroom.sessions.records.text_search import TextSearch
from greenroom.sessions.storage.finder import SessionName, list_archived, list_sessions
from greenroom.sessions.storage.lineage import open_with_origins


class Selection(msgspec.Struct, frozen=True):
    """What all wanted conversations have in common."""

    text: str = ""
    """Part of a passage or of the name that the user has given, in any case."""
    directory: str = ""
    """Their directory, or one above it; empty for all."""
    since: float = -math.inf
    """Earliest time of the last write, in seconds since the epoch."""
    before: float = math.inf
    """The time before which the last write was."""
    states: frozenset[SavedState] = frozenset()
    """Empty for all."""
    archived: bool = False
    """Whether those that were put aside are meant, and not the others."""

    def has_time(self, changed_at: float) -> bool:
        """Tell whether the last write was at the right time."""
        return self.since <= changed_at < self.before

    def has_entry(self, entry: SessionEntry) -> bool:
        """Tell whether everything but the text is right."""
        return (
            self.has_time(entry.changed_at)
            and (not self.states or entry.state in self.states)
            and (not self.directory or (entry.cwd is not None and _is_within(entry.cwd, self.directory)))
        )


def select(home: str, wanted: Selection) -> Iterator[SessionEntry]:
    """Yield the wanted conversations, the newest first."""
    names = _of_right_time(home, wanted)
    if wanted.text:
        names = _telling(home, wanted.text, names)
    return filter(wanted.has_entry, entries_of(home, names))


def _of_right_time(home: str, wanted: Selection) -> Iterator[SessionName]:
    for name in list_archived(home) if wanted.archived else list_sessions(home):
        try:
            changed_at = os.stat(name.path).st_mtime
        except OSError:  # it has just been moved, packed or removed
            continue
        if wanted.has_time(changed_at):
            yield name


def _telling(home: str, text: str, names: Iterable[SessionName]) -> Iterator[SessionName]:
    """Yield the files that tell of a text, and those whose conversation has a name with it."""
    reader = Reader(home)
    search, given = TextSearch(text), given_names(reader)
    for name in names:
        if search.is_in(given.get(name.conversation_id, "")) or _tells(reader, name.path, search):
            yield name


def _tells(reader: Reader, path: str, search: TextSearch) -> bool:
    try:
        with open_with_origins(reader, path) as file:
            if not search.may_be_told(file):
                return False
        with open_with_origins(reader, path) as file:
            return search.is_told(file)
    except (OSError, SessionFileError):
        return False


def _is_within(path: str, directory: str) -> bool:
    return os.path.commonpath((os.path.join("/", path), directory)) == directory

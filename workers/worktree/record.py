"""What is known of the worktree of one conversation, in a file beside it that survives its removal."""

import contextlib
import os
from typing import Final, Literal

import msgspec

from greenroom.protocol.ids import ConversationId
from greenroom.sessions.storage.directory import make_private, sync

FOLDER: Final = "worktrees"
"""In the Codex home."""
BRANCHES: Final = "greenroom"
"""The first part of the names of the branches."""
_KEY: Final = 12
_FILE: Final = "worktree.json"
_LARGEST: Final = 65_536


class WorktreeRecord(msgspec.Struct, frozen=True):
    """One worktree."""

    conversation_id: ConversationId
    state: Literal["making", "ready", "removing", "removed"]
    """Only in `ready` is there anything of the conversation in it."""
    repository: str
    """The main working tree, or the bare repository."""
    common_dir: str
    """The directory of the repository that all worktrees share."""
    path: str
    below: str
    """The conversation's directory in the worktree; empty for the worktree itself."""
    base: str
    """The commit at which the conversation began."""
    commit: str
    """The commit at which it is to be made again."""


class WorktreePlace:
    """Where the worktree of a conversation is, which follows from the conversation's id."""

    def __init__(self, home: str, conversation_id: ConversationId) -> None:
        self.home = home
        self.conversation_id = conversation_id
        key = conversation_id.replace("-", "")[-_KEY:]
        self.folder = os.path.join(os.path.realpath(home), FOLDER, key)
        self.lock = f"{self.folder}.lock"
        self.branch = f"{BRANCHES}/{key}"
        self._file = os.path.join(self.folder, _FILE)

    def path(self, repository: str) -> str:
        """Return the path of the worktree of a repository."""
        return os.path.join(self.folder, os.path.basename(repository).removesuffix(".git") or "repository")

    def read(self) -> WorktreeRecord | None:
        """Return the record; `None` if there is none, or it is not about this conversation and place."""
        record = read_record(self.folder)
        if record is None:
            return None
        is_own = record.conversation_id == self.conversation_id and record.path == self.path(record.repository)
        return record if is_own else None

    def write(self, record: WorktreeRecord) -> None:
        """Replace the record; after a crash of the machine it is the old or the new one. Raises `OSError`."""
        make_private(self.folder)
        fresh = f"{self._file}.new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(fresh)
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(msgspec.json.encode(record))
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, self._file)
        sync(self.folder)

    def forget(self) -> None:
        """Remove the record of a worktree that never came to be."""
        with contextlib.suppress(OSError):
            os.unlink(self._file)
        with contextlib.suppress(OSError):
            os.rmdir(self.folder)


def read_record(folder: str) -> WorktreeRecord | None:
    """Return the record in a folder, whosever it is; `None` if there is none that can be read."""
    try:
        with open(os.path.join(folder, _FILE), "rb") as file:
            return msgspec.json.decode(file.read(_LARGEST), type=WorktreeRecord)
    except (OSError, msgspec.MsgspecError, ValueError):
        return None

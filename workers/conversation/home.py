"""A conversation on a node: what it needs of the host's home, and how its records get there."""

import os
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from typing import BinaryIO, cast

import msgspec

from greenroom.config.path_map import PathMap
from greenroom.config.settings import ConversationOverrides
from greenroom.protocol.errors import NodeLacksDirectoryError, SessionFileError
from greenroom.protocol.internal.node import FILES, RULES, RULES_SUFFIX, HomeParts
from greenroom.protocol.internal.worker.operations import Open
from greenroom.runtime.files.rewritten_file import rewrite
from greenroom.sessions.records.consumption import Consumption
from greenroom.sessions.records.format import SessionRecord
from greenroom.sessions.records.restored import restore
from greenroom.sessions.storage.sent import SentRecords
from greenroom.workers.conversation.resumption import ResumedSession
from greenroom.workers.records_channel import RecordsChannel


@dataclass(slots=True)
class RemoteHome:
    """Where a worker on a node has its conversation's settings and session from."""

    parts: HomeParts
    records: RecordsChannel
    paths: PathMap = field(init=False)
    _ordinal: int | None = None

    def __post_init__(self) -> None:
        self.paths = PathMap(self.parts.paths)

    def lay_out(self, home: str) -> None:
        """Make the files of the node's home those of the host's. Several workers may do so at a time."""
        os.makedirs(os.path.join(home, RULES), mode=0o700, exist_ok=True)
        told = {os.path.normpath(name): text for name, text in self.parts.files.items() if _is_known(name)}
        present = {*FILES, *(os.path.join(RULES, name) for name in os.listdir(os.path.join(home, RULES)))}
        for name in present - told.keys():
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(home, name))
        for name, text in told.items():
            rewrite(home, name, text.encode("utf-8"))

    def overrides(self, given: ConversationOverrides) -> ConversationOverrides:
        """Return the overrides with the directory in the host's terms, absolute where the call has named one."""
        return given if self.parts.cwd is None else msgspec.structs.replace(given, cwd=self.parts.cwd)

    def resumed(self, operation: Open) -> ResumedSession | None:
        """Return the session that `operation` resumes, if any. Raises as `resumed_session` does."""
        self.records.begin(operation.conversation_id, operation.incarnation)
        if operation.resume == "no" or (operation.ephemeral and operation.resume != "must"):
            return None
        try:
            reply, lines = self.records.resume()
        except OSError as error:
            raise SessionFileError(f"The session file cannot be read at home: {error.strerror}") from error
        if not reply.path:
            return None
        self._ordinal = reply.ordinal
        consumption = Consumption()
        restored = restore(consumption.watching(cast("BinaryIO", BytesIO(lines))))
        return ResumedSession(restored, reply.path, consumption.by_model)

    def writer(self, meta: SessionRecord | None, resumed: ResumedSession | None) -> SentRecords:
        """Return what writes the records; `meta` begins those of a new conversation."""
        if resumed is not None or meta is None:
            path = self.parts.session_path if resumed is None else resumed.path
            return SentRecords(self.records, path, self._ordinal)
        return SentRecords.of_new(self.records, self.parts.session_path, meta, self.parts.started)

    def directory(self, cwd: str) -> str:
        """Return where this node has a directory of the host. Raises `NodeLacksDirectoryError`."""
        there = self.paths.there(cwd)
        if there is None or not os.path.isdir(there) or not os.access(there, os.X_OK):
            raise NodeLacksDirectoryError(self.parts.node, there or cwd)
        return there


def _is_known(name: str) -> bool:
    """Tell whether a file is one of those that a host sends."""
    folder, _, rest = name.partition(os.sep)
    return name in FILES or (folder == RULES and rest.endswith(RULES_SUFFIX) and os.sep not in rest)

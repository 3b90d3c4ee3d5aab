"""The directory of a node's sockets: it is removed at the end, and by the next run where a node was killed.

So are the settings in its state directory that a worker was writing when it was killed.
"""

import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from greenroom.runtime.files import directory
from greenroom.runtime.files.rewritten_file import remove_unfinished
from greenroom.supervisor.startup.host_lock import HostLock

log = logging.getLogger(__name__)

_NAME: Final = re.compile(r"\d+-\w+")
"""Of directories that `greenroom.runtime.files.directory` makes."""


@contextmanager
def runtime_directory(lock: HostLock, state: str, environment: Mapping[str, str]) -> Iterator[str]:
    """Give a fresh directory to the node that holds the lock of its state directory. Raises `StartError`."""
    _remove_former(state, environment)
    remove_unfinished(state)
    path = directory.create(environment)
    try:
        try:
            lock.write(path)
        except OSError as error:  # a full disk keeps no node from running
            log.warning("%s will not be removed if this node is killed: %s", path, error)
        yield path
    finally:
        directory.remove_directory(path)
        remove_unfinished(state)


def _remove_former(state: str, environment: Mapping[str, str]) -> None:
    """Remove the directory of a run that was killed: it had the lock, so none of its processes needs it any more."""
    former = HostLock.holder(state)
    if former is None:
        return
    place, name = os.path.split(former.socket)
    if place == directory.place(environment) and _NAME.fullmatch(name) and directory.is_private(former.socket):
        directory.remove_directory(former.socket)

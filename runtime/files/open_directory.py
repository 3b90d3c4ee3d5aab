"""Opens a directory without following symbolic links, so that a link planted later cannot redirect the access.

A command of the model may run in parallel and replace a directory by a link after it was checked. Operations relative
to the opened directory affect the directory that was checked.
"""

import os
from collections.abc import Callable
from typing import Final, TypeAlias

_FLAGS: Final = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)

OnMade: TypeAlias = Callable[[str], object]


def enter(path: str, on_made: OnMade | None = None) -> int:
    """Open an absolute path that contains no symbolic link; the caller closes the descriptor.

    With `on_made`, missing directories are created, and it is called with the path of each. Raises `OSError`.
    """
    directory, walked = os.open("/", _FLAGS), ""
    for name in filter(None, path.split("/")):
        walked += f"/{name}"
        try:
            below = _step(directory, name, walked, on_made)
        finally:
            os.close(directory)
        directory = below
    return directory


def _step(directory: int, name: str, path: str, on_made: OnMade | None) -> int:
    try:
        return os.open(name, _FLAGS, dir_fd=directory)
    except FileNotFoundError:
        if on_made is None:
            raise
    os.mkdir(name, dir_fd=directory)
    on_made(path)
    return os.open(name, _FLAGS, dir_fd=directory)

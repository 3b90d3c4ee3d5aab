"""Opens a directory by walking down to it through no symlink, so that none put in the way later leads elsewhere.

A command of the model may run beside us and swap a directory for a symlink between a check and what it allowed. What is
done relative to the opened directory lands where the check looked.
"""

import os
from collections.abc import Callable
from typing import Final, TypeAlias

_FLAGS: Final = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)

OnMade: TypeAlias = Callable[[str], object]


def enter(path: str, on_made: OnMade | None = None) -> int:
    """Open an absolute path that holds no symlink; the caller closes the descriptor.

    With `on_made`, directories that are missing are made, and it is called with the path of each. Raises `OSError`.
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

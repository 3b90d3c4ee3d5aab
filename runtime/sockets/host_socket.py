"""Where the host of a Codex home listens. Shared by the host and its clients, so it imports nothing slow.

Socket and home find each other by device and inode of the home, whatever links lead to it. The socket is in the
directory that also holds those of all instances (`greenroom.runtime.files.directory`), which only the user can enter.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ACTIVATED = "host.sock"
"""The name of a socket that systemd has opened: its unit cannot know the home's inode."""


def home_id(home: str) -> str:
    """Return what identifies a Codex home on this machine. Raises `OSError` where it does not exist."""
    facts = os.stat(home)
    return f"{facts.st_dev:x}-{facts.st_ino:x}"


def socket_name(home: str) -> str:
    """Return the name of the socket of a home's host. Raises `OSError`."""
    return f"host-{home_id(home)}.sock"


def parents(environment: "Mapping[str, str]") -> tuple[str, ...]:
    """Return the directories in which the sockets of this user may be, the most likely first."""
    user = os.getuid()
    bases = (environment.get("XDG_RUNTIME_DIR", ""), f"/run/user/{user}")
    found = [os.path.join(base, "greenroom") for base in dict.fromkeys(bases) if base]
    return (*found, f"/tmp/greenroom-{user}")


def candidates(home: str, environment: "Mapping[str, str]") -> "Iterator[str]":
    """Yield the paths at which the host of a home may listen, the most likely first."""
    names = [socket_name(home), ACTIVATED] if os.path.exists(home) else [ACTIVATED]
    for parent in parents(environment):
        if _is_private(parent):
            for name in names:
                yield os.path.join(parent, name)


def _is_private(path: str) -> bool:
    """Tell whether only this user can have put something into a directory."""
    try:
        facts = os.lstat(path)
    except OSError:
        return False
    return facts.st_mode & 0o170077 == 0o040000 and facts.st_uid == os.getuid()

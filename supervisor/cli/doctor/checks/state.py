"""Checks of the Codex home: who can read and write it, and how much room its file system has."""

import os
import stat
from collections.abc import Iterator
from typing import Final

from greenroom.config.secrets.secret_files import secrets_of
from greenroom.protocol.secret_names import SECRET_NAMES, covers
from greenroom.runtime.files import directory
from greenroom.runtime.threads.daemon_thread import in_thread
from greenroom.supervisor.cli.doctor.check_context import CheckContext
from greenroom.supervisor.cli.doctor.finding import Detail, Finding, Problem, combined_finding
from greenroom.supervisor.cli.status.formatting import size

MIB: Final = 1024 * 1024
ROOM_AT_ALL: Final = 50 * MIB
"""Bytes without which a session can hardly be saved."""
ROOM_WISHED: Final = 1024 * MIB
FILES_AT_ALL: Final = 100
FILES_WISHED: Final = 10_000
"""Files that can still be made (inodes)."""
UNRELIABLE: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p", "afs", "ceph"})
"""File systems on which locks may not hold between machines, or at all."""
SHOWN: Final = 10
"""Files of one kind that are named."""


async def paths(context: CheckContext) -> Finding:
    """Tell whether the home can be used, and whether only its user can."""
    return await in_thread(lambda: _paths(context))


async def disk(context: CheckContext) -> Finding:
    """Tell how much room the file systems of the home, of temporary files and of the sockets have."""
    return await in_thread(lambda: _disk(context))


def _paths(context: CheckContext) -> Finding:
    home = context.home
    details: dict[str, Detail] = {"home": home}
    name = context.home_name or home
    if os.path.realpath(name) != os.path.normpath(name):
        details["leads to"] = os.path.realpath(name)
    if context.home_fault:
        return Finding("fail", context.home_fault, details, "Set CODEX_HOME to an existing directory, or unset it.")
    if os.path.islink(name) and not os.path.exists(name):
        remedy = f"Make the directory {os.path.realpath(name)}, or remove the link."
        return Finding("fail", f"{name} is a link to {os.path.realpath(name)}, which does not exist", details, remedy)
    if not os.path.lexists(home):
        return _absent(home, details)
    if not os.path.isdir(home):
        return Finding("fail", f"{home} is not a directory", details, "Move it away, or set CODEX_HOME.")
    if (kind := _file_system(context, home)) is not None:
        details["file system"] = kind
    problems = [*_of_home(context), *_of_files(home), *_of_runtime(context)]
    if kind in UNRELIABLE:
        text = f"{home} is on a file system of the kind {kind}, where locks may not hold"
        problems.append(Problem("warning", text, "Put the home on a local disk, and use it from one machine only."))
    return combined_finding(problems, f"{home} can be used, by its user alone", details)


def _absent(home: str, details: dict[str, Detail]) -> Finding:
    above = home
    while not os.path.lexists(above):
        above = os.path.dirname(above)
    if os.access(above, os.W_OK | os.X_OK) and os.path.isdir(above):
        return Finding("ok", f"{home} does not exist yet, and is made when it is needed", details)
    remedy = f"Make {home} with write access for this user, or set CODEX_HOME to such a directory."
    return Finding("fail", f"{home} does not exist, and {above} is not writable", details, remedy)


def _of_home(context: CheckContext) -> Iterator[Problem]:
    home, facts = context.home, os.stat(context.home)
    user = os.geteuid()
    if facts.st_uid != user:
        text = f"{home} belongs to user {facts.st_uid} and not to {user}"
        yield Problem("warning", text, f"Run as that user, or `chown -R {user}` the home.")
    if facts.st_mode & 0o022:
        others = "everybody" if facts.st_mode & 0o002 else "the group"
        yield Problem("warning", f"{others} can write to {home}, and so replace its settings", f"`chmod go-w {home}`.")
    if _is_read_only(context, home) or not os.access(home, os.W_OK | os.X_OK):
        text = f"{home} is not writable, so neither sessions nor logins can be saved"
        yield Problem("fail", text, "Give this user write access, mount it writable, or set CODEX_HOME.")
        return
    for name in ("sessions", "archived_sessions", "log"):
        path = os.path.join(home, name)
        if os.path.lexists(path) and not (os.path.isdir(path) and os.access(path, os.W_OK | os.X_OK)):
            yield Problem("fail", f"{path} is not a writable directory", "Correct its owner and mode, or move it away.")


def _is_read_only(context: CheckContext, path: str) -> bool:
    try:
        return bool(context.machine.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def _of_files(home: str) -> Iterator[Problem]:
    """Find files with secrets that others may read, or that have names outside the home."""
    secrets = secrets_of(home)
    names = (*SECRET_NAMES, *secrets.names())
    readable: list[str] = []
    unreadable: list[str] = []
    for entry in sorted(os.listdir(home)):
        if not covers(names, entry):
            continue
        path = os.path.join(home, entry)
        try:
            facts = os.stat(path)
        except OSError:
            continue
        if stat.S_ISREG(facts.st_mode) and facts.st_mode & 0o077:
            readable.append(path)
        if stat.S_ISREG(facts.st_mode) and not os.access(path, os.R_OK):
            unreadable.append(path)
    if readable:
        listed = ", ".join(map(os.path.basename, readable[:SHOWN]))
        text = f"other users may read files with secrets: {listed}"
        yield Problem("warning", text, f"`chmod 600 {' '.join(readable[:SHOWN])}`.")
    if unreadable:
        listed = ", ".join(map(os.path.basename, unreadable[:SHOWN]))
        yield Problem("fail", f"this user may not read {listed}", "`chmod u+r`, or correct the owner.")
    aliases = secrets.aliases_elsewhere()
    if aliases:
        text = f"{', '.join(aliases)} has another name (a hard link) outside of the home, where commands can read it"
        yield Problem("warning", text, "Remove the other name, or replace the file by a copy.")


def _of_runtime(context: CheckContext) -> Iterator[Problem]:
    place = directory.place(context.environment)
    if os.path.lexists(place) and not directory.is_private(place):
        text = f"{place}, where the sockets are made, is not a directory of this user alone"
        yield Problem("fail", text, f"Remove {place}, or set XDG_RUNTIME_DIR to a directory of this user.")


def _file_system(context: CheckContext, path: str) -> str | None:
    """Return the kind of the file system of a path (proc(5), mountinfo); `None` where that cannot be told."""
    real = os.path.realpath(path)
    found: tuple[int, str] | None = None
    try:
        with open(os.path.join(context.machine.proc, "self", "mountinfo"), encoding="utf-8") as file:
            for line in file:
                before, _, after = line.partition(" - ")
                point = before.split()[4].encode().decode("unicode_escape")
                if real == point or real.startswith(point.rstrip("/") + "/"):
                    found = max(found or (0, ""), (len(point), after.split()[0]))
    except (OSError, IndexError, ValueError):
        return None
    return None if found is None else found[1]


def _disk(context: CheckContext) -> Finding:
    places = {
        "home": context.home,
        "temporary files": context.environment.get("TMPDIR", "") or "/tmp",
        "sockets": directory.place(context.environment),
    }
    details: dict[str, Detail] = {}
    problems: list[Problem] = []
    seen: set[int] = set()
    for what, path in places.items():
        existing = _existing(path)
        try:
            device, facts = os.stat(existing).st_dev, context.machine.statvfs(existing)
        except OSError as error:
            problems.append(Problem("fail", f"{existing} cannot be looked at: {error.strerror}", "Mount or make it."))
            continue
        free = facts.f_bavail * facts.f_frsize
        details[what] = f"{existing}: {size(free)}B free, {_files(facts)}"
        if device not in seen:
            problems += _of_room(what, existing, free, facts)
        seen.add(device)
    return combined_finding(
        problems, "; ".join(f"{name} at {text}" for name, text in list(details.items())[:1]), details
    )


def _of_room(what: str, path: str, free: int, facts: os.statvfs_result) -> Iterator[Problem]:
    remedy = f"Make room on the file system of {path}, or move the {what} to another one."
    if what == "home" and free < ROOM_WISHED:
        text = f"only {size(free)}B is free for the home, at {path}"
        yield Problem("fail" if free < ROOM_AT_ALL else "warning", text, remedy)
    elif what != "home" and free < MIB:
        yield Problem("warning", f"only {size(free)}B is free for {what}, at {path}", remedy)
    if facts.f_files and facts.f_favail < FILES_WISHED:
        text = f"only {facts.f_favail} more files can be made at {path}"
        yield Problem("fail" if facts.f_favail < FILES_AT_ALL else "warning", text, remedy)


def _files(facts: os.statvfs_result) -> str:
    return f"{facts.f_favail} more files" if facts.f_files else "any number of files"


def _existing(path: str) -> str:
    while not os.path.exists(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    return path

"""The check of the saved conversations: how many there are, and whether the latest can be read."""

import os
import time
from itertools import islice
from typing import Final

from greenroom.protocol.errors import GreenroomError
from greenroom.runtime.threads.daemon_thread import in_thread
from greenroom.sessions.index import SessionEntry, entries
from greenroom.sessions.storage.finder import FOLDER, list_sessions
from greenroom.supervisor.cli.doctor.check_context import CheckContext
from greenroom.supervisor.cli.doctor.finding import Detail, Finding, Problem, combined_finding
from greenroom.supervisor.cli.status.formatting import amount, counted, short_id, size

LATEST: Final = 20
"""Conversations of which the files are read."""
COUNTED: Final = 200_000
"""Files that are counted at most."""
SECONDS: Final = 3.0
"""Seconds after which counting ends."""
MANY: Final = 20_000
"""Files from which on lists and searches of them become slow."""
LARGE: Final = 20 * 1024**3
"""Bytes of all files together from which on a warning is due."""


async def health(context: CheckContext) -> Finding:
    """Count the saved conversations, and read the beginning and the end of the latest."""
    return await in_thread(lambda: _health(context.home))


def _health(home: str) -> Finding:
    count, total, complete = _measure(home)
    details: dict[str, Detail] = {"directory": os.path.join(home, FOLDER)}
    if not count:
        return Finding("ok", "no conversation is saved", details)
    more = "" if complete else "more than "
    details |= {"files": f"{more}{count}", "size": f"{more}{size(total)}"}
    problems = list(_of_size(count, total, more))
    try:
        latest = list(entries(home, LATEST))
    except (GreenroomError, OSError) as error:
        latest = []
        problems.append(Problem("warning", f"the latest files cannot be read: {error}", "Look at their modes."))
    damaged = [entry for entry in latest if entry.fault is not None]
    if damaged:
        details["cannot be read"] = [f"{entry.path}: {entry.fault}" for entry in damaged]
        problems.append(_of_damaged(damaged))
    writing = sum(entry.writer is not None for entry in latest)
    if writing:
        details["being written"] = str(writing)
    return combined_finding(problems, f"{more}{counted(count, 'conversation')}, {size(total)}", details)


def _of_size(count: int, total: int, more: str) -> list[Problem]:
    if count < MANY and total < LARGE:
        return []
    text = f"{more}{amount(count)} conversations with {size(total)} are saved, which makes lists and searches slow"
    remedy = "Run `greenroom sessions compress --before 30d`, or `greenroom sessions delete` with the same."
    return [Problem("warning", text, remedy)]


def _of_damaged(damaged: list[SessionEntry]) -> Problem:
    names = ", ".join(short_id(entry.id) for entry in damaged[:3])
    text = f"{counted(len(damaged), 'file')} of the latest {LATEST} cannot be read ({names})"
    return Problem(
        "warning", text, "These conversations cannot be continued; see the details, and move the files away."
    )


def _measure(home: str) -> tuple[int, int, bool]:
    """Return the number of files, their bytes, and whether these are all."""
    deadline = time.monotonic() + SECONDS
    count = total = 0
    for name in islice(list_sessions(home), COUNTED):
        try:
            total += os.stat(name.path).st_size
        except OSError:
            continue
        count += 1
        if time.monotonic() > deadline:
            return count, total, False
    return count, total, count < COUNTED

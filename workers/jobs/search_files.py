"""Finds the files whose paths match a query best."""

import asyncio
import heapq
import os
import re
import sys
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final

import msgspec

from greenroom.protocol.conversation_api import FuzzyFileSearch
from greenroom.workers.git import Git, leads_through_links
from greenroom.workers.job_context import Setting
from greenroom.workers.jobs.file_listing import list_files
from greenroom.workers.jobs.fuzzy import FuzzyMatch, match, promising

MOST: Final = 50
"""Maximum results for one root."""
ENOUGH: Final = 2 * MOST
"""Maximum matches to collect: some files that git lists may be gone."""
AT_ONCE: Final = 500
"""Paths between two checks whether the search was stopped."""
_EVERYTHING: Final = re.compile("")


class FileMatch(msgspec.Struct, frozen=True):
    """A matching path."""

    path: str
    match: FuzzyMatch

    def rank(self) -> tuple[int, str]:
        """Sort the best first."""
        return -self.match.score, self.path


async def run(params: bytes, setting: Setting) -> bytes:
    """Return the result of `fuzzyFileSearch`: complete, or what was found until the job was stopped."""
    request = msgspec.json.decode(params, type=FuzzyFileSearch)
    files: list[dict[str, object]] = []
    for root in request.roots:
        try:
            async with Git(os.path.abspath(root), setting) as git:
                names = await list_files(os.path.abspath(root), git)
        except (OSError, ValueError):
            continue
        matches = await best(request.query, names, setting.stopped)
        files += [_row(root, one) for one in _present(root, matches)]
        if setting.stopped.is_set():
            break
    files.sort(key=lambda file: (-int(str(file["score"])), str(file["path"])))
    return msgspec.json.encode({"files": files})


async def best(query: str, names: Iterable[bytes], stopped: asyncio.Event) -> list[FileMatch]:
    """Return the best paths, with as many spares as results, best first.

    Promising paths are tried first, and the search ends when no better one can follow.
    """
    words = query.lower().split()
    fits = _fitting(words)
    rest = [path for name in names if fits(path := name.decode(errors="replace"))] if words else []
    matches: list[FileMatch] = []
    limit = sys.maxsize
    for pattern, bound in [*(promising(words[0]) if len(words) == 1 else ()), (_EVERYTHING, 0)]:
        tier = sorted(path for path in rest if pattern.search(path))
        rest = [path for path in rest if not pattern.search(path)]
        matches += await _matched(words, tier, limit, stopped)
        matches = heapq.nsmallest(ENOUGH, matches, key=FileMatch.rank)
        if stopped.is_set() or (len(matches) == ENOUGH and matches[-1].match.score > bound):
            break
        limit = bound
    return matches


async def _matched(words: list[str], paths: list[str], limit: int, stopped: asyncio.Event) -> list[FileMatch]:
    """Match paths, which are sorted, until enough of them have the maximum possible score."""
    found: list[FileMatch] = []
    unsurpassed = 0
    for start in range(0, len(paths), AT_ONCE):
        matches = [(path, match(words, path)) for path in paths[start : start + AT_ONCE]]
        new = [FileMatch(path, fit) for path, fit in matches if fit is not None]
        found += new
        unsurpassed += sum(file.match.score >= limit for file in new)
        await asyncio.sleep(0)  # lets a request to stop be handled
        if stopped.is_set() or unsurpassed >= ENOUGH:
            break
    return found


def _fitting(words: list[str]) -> Callable[[str], bool]:
    """Return a quick test whether a path can match: it has the letters of each word in order."""
    patterns = [re.compile(".*?".join(map(re.escape, word)), re.IGNORECASE | re.DOTALL) for word in words]
    if len(patterns) == 1:
        return lambda path, search=patterns[0].search: search(path) is not None  # type: ignore[misc]
    return lambda path: all(pattern.search(path) for pattern in patterns)


def _present(root: str, matches: list[FileMatch]) -> list[FileMatch]:
    """Drop paths that git lists but that no longer exist, are not files, or are behind a link to a directory."""
    real = os.path.realpath(root)
    there = (file for file in matches if os.path.isfile(os.path.join(root, file.path)))
    there = (file for file in there if not leads_through_links(real, file.path))
    return list(islice(there, MOST))


def _row(root: str, file: FileMatch) -> dict[str, object]:
    return {"root": root, "path": file.path, "score": file.match.score, "indices": file.match.indices}

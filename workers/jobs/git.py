"""Asks git, without letting the repository's configuration run anything (git-config(1))."""

import asyncio
import os
from collections.abc import Sequence
from typing import Final

TIMEOUT: Final = 5.0
"""Seconds for one call."""
_HARMLESS: Final = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.quotePath=false")
_ALONE: Final = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}


class GitError(Exception):
    """Git is not there, took too long, or had an answer that was not asked for."""


async def git(cwd: str, *arguments: str, allowed: Sequence[int] = (0,), timeout_s: float = TIMEOUT) -> bytes:
    """Return what a git command wrote. Raises `GitError` where its exit status is not among those allowed.

    `patience` is in seconds.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            "git",
            *_HARMLESS,
            *arguments,
            cwd=cwd,
            env={**os.environ, **_ALONE},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except (OSError, ValueError) as error:
        raise GitError(str(error)) from error
    try:
        async with asyncio.timeout(timeout_s):
            written, _ = await process.communicate()
    except TimeoutError:
        raise GitError(f"git {arguments[0]} took longer than {timeout_s:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode not in allowed:
        raise GitError(f"git {arguments[0]} ended with {process.returncode}")
    return written

"""Compresses and deletes session files whose time is over, unless that was done a short while ago."""

import asyncio

import msgspec

from greenroom.sessions.retention import Retention, apply_daily
from greenroom.workers.job_context import JobError, Setting


async def run(params: bytes, setting: Setting) -> bytes:
    """Return what was done, or `null` where nothing was to be done yet. Raises `JobError`."""
    retention = msgspec.json.decode(params, type=Retention)
    try:
        result = await asyncio.to_thread(apply_daily, setting.home, retention, setting.stopped.is_set)
    except OSError as error:
        raise JobError(f"session files were left as they are: {error.strerror}") from error
    return msgspec.json.encode(result)

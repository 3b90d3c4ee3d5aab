"""Runs all checks at once, each within a deadline, and returns whatever happens."""

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from typing import Final

from greenroom.protocol.errors import ConfigError
from greenroom.supervisor.cli.doctor.check_context import CheckContext
from greenroom.supervisor.cli.doctor.finding import Finding
from greenroom.supervisor.cli.doctor.report import CheckResult
from greenroom.supervisor.cli.doctor.table import Check

log = logging.getLogger(__name__)

SECONDS: Final = 7.0
"""Seconds that a check may take."""
GRACE: Final = 1.0
"""Further seconds for what a check has started to end. The rest of ten is for the start and the end of the program."""
SEE_CONFIG: Final = "See the check config.load."


def examine(
    checks: Sequence[Check], context: CheckContext, seconds: float = SECONDS, grace: float = GRACE
) -> list[CheckResult]:
    """Return a result for every check, in order, within `seconds` and `grace`.

    The loop runs in a thread: one that is blocked is left behind, and its checks count as hanging.
    """
    results: dict[str, CheckResult] = {}
    begun = time.monotonic()
    thread = threading.Thread(
        target=lambda: asyncio.run(_all(checks, context, seconds, results)), name="checks", daemon=True
    )
    thread.start()
    thread.join(seconds + grace)
    taken = time.monotonic() - begun
    known = dict(results)  # a thread that is left behind may go on writing
    return [known.get(check.id) or _result(check, _hanging(check, taken), taken) for check in checks]


async def _all(checks: Sequence[Check], context: CheckContext, seconds: float, results: dict[str, CheckResult]) -> None:
    async def one(check: Check) -> None:
        begun = time.monotonic()
        finding = await _finding(check, context, seconds)
        results[check.id] = _result(check, finding, time.monotonic() - begun)

    await asyncio.gather(*map(one, checks))


async def _finding(check: Check, context: CheckContext, seconds: float) -> Finding:
    try:
        async with asyncio.timeout(seconds) as limit:
            return await check.examine(context)
    except ConfigError as error:
        details = {"reason": str(error)}
        return Finding("warning", "not checked, because the configuration cannot be read", details, SEE_CONFIG)
    except Exception as error:
        if isinstance(error, TimeoutError) and limit.expired():
            return _hanging(check, seconds)
        log.debug("the check %s failed", check.id, exc_info=True)
        return Finding(
            "fail",
            f"the check itself failed: {type(error).__name__}: {error}",
            {},
            "This is a defect: please report it.",
        )


def _hanging(check: Check, seconds: float) -> Finding:
    text = f"no result after {seconds:.0f} s: something that it waits for hangs"
    remedy = (
        f"Look at what the check is about ({check.meaning[0].lower()}{check.meaning[1:]}): a disk, server or program."
    )
    return Finding("fail", text, {}, remedy)


def _result(check: Check, finding: Finding, seconds: float) -> CheckResult:
    return CheckResult(check.id, check.category, finding, seconds)

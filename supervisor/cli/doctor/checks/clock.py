"""The check of the clock, against the time that the model servers put into their answers."""

from email.utils import parsedate_to_datetime
from typing import Final

from greenroom.runtime.skew import TOLERANCE
from greenroom.supervisor.cli.doctor.check_context import CheckContext
from greenroom.supervisor.cli.doctor.checks.providers import ask_providers
from greenroom.supervisor.cli.doctor.finding import Detail, Finding
from greenroom.supervisor.cli.status.formatting import age
from greenroom.workers.model.model_list import ModelListAnswer, ModelListed

HARMFUL: Final = 3600.0
"""Seconds from which on certificates and tokens may count as expired, or not valid yet."""
REMEDY: Final = "Set the clock, and keep it right by NTP (`timedatectl set-ntp true`)."


async def skew(context: CheckContext) -> Finding:
    """Compare the clock with those of the servers; the smallest difference counts, since a server may be wrong."""
    asked = await context.shared(ask_providers)
    differences = {one.id: ahead for one in asked if (ahead := seconds_ahead(one.answer)) is not None}
    if not differences:
        return Finding("ok", "no server has told the time")
    details: dict[str, Detail] = {name: f"{ahead:+.0f} s" for name, ahead in differences.items()}
    ahead = min(differences.values(), key=abs)
    if abs(ahead) <= TOLERANCE:
        return Finding("ok", f"right within {TOLERANCE:.0f} s", details)
    text = f"the clock is {age(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} that of the servers"
    return Finding("fail" if abs(ahead) >= HARMFUL else "warning", text, details, REMEDY)


def seconds_ahead(answer: ModelListAnswer) -> float | None:
    """Return the seconds by which this machine's clock is ahead of a server's; `None` where it has not told."""
    if not isinstance(answer, ModelListed) or answer.date is None:
        return None
    try:
        return answer.received_at - parsedate_to_datetime(answer.date).timestamp()
    except (ValueError, OverflowError):
        return None

"""`greenroom approvals` and `greenroom approve`: what waits for a decision in running instances, and the decision."""

import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from greenroom.supervisor.cli.output import conclude
from greenroom.supervisor.cli.status.control_client import ControlResponse, ask
from greenroom.supervisor.cli.status.diagnostics import DEGRADED, NOTHING, SILENT, WELL
from greenroom.supervisor.cli.status.status import find_instances, nothing_found
from greenroom.supervisor.control.control_messages import (
    MAX_REQUEST,
    ActionDone,
    ActionRefused,
    ApprovalsListed,
    DecideApproval,
    ListApprovals,
)
from greenroom.supervisor.control.instances import RunningInstance

MAX_NOTE: Final = MAX_REQUEST // 8
"""Characters of a note: each may take several bytes of a request."""


def run_approvals(arguments: Namespace) -> int:
    """List what waits for a decision, in all instances."""
    from greenroom.supervisor.conversations.approval_facts import approval_in_words

    found, responses = _ask_all(full=arguments.full)
    if not found:
        return conclude(NOTHING, nothing_found(None))
    told = [approval for _, approval in _listed(found, responses)]
    if arguments.json:
        sys.stdout.writelines(msgspec.json.encode(approval).decode() + "\n" for approval in told)
    else:
        sys.stdout.write(
            "\n\n".join(map(approval_in_words, told)) + "\n" if told else "Nothing waits for a decision.\n"
        )
    return _problems(found, responses)


def run_approve(arguments: Namespace) -> int:
    """Decide an approval."""
    if len(arguments.note) > MAX_NOTE:
        return conclude(NOTHING, f"a note has at most {MAX_NOTE} characters")
    found, responses = _ask_all(full=False)
    if not found:
        return conclude(NOTHING, nothing_found(None))
    given = arguments.approval
    hits = [(one, name) for one, told in _listed(found, responses) if _matches(name := str(told["approvalId"]), given)]
    if len(hits) > 1:
        return conclude(NOTHING, f"{given} is not enough to tell which is meant: {', '.join(name for _, name in hits)}")
    if not hits:
        problem = _problems(found, responses)
        return problem or conclude(NOTHING, f"no approval {given} waits; it was decided, or its time is up")
    one, approval_id = hits[0]
    order = DecideApproval(approval_id, arguments.choice, arguments.note)
    match ask([one.control], order)[one.control].reply:
        case ActionDone(text=text):
            return conclude(WELL, text)
        case ActionRefused(text=text):
            return conclude(DEGRADED, text)
    return conclude(SILENT, f"instance {one.instance.pid} does not answer")


def _ask_all(*, full: bool) -> tuple[Sequence[RunningInstance], dict[str, ControlResponse]]:
    found = find_instances(None)
    return found, ask([one.control for one in found], ListApprovals(full)) if found else {}


def _listed(
    found: Sequence[RunningInstance], responses: dict[str, ControlResponse]
) -> Iterator[tuple[RunningInstance, dict[str, object]]]:
    for one in found:
        reply = responses[one.control].reply
        if isinstance(reply, ApprovalsListed):
            yield from ((one, approval) for approval in reply.approvals)


def _problems(found: Sequence[RunningInstance], responses: dict[str, ControlResponse]) -> int:
    """Say which instances have told nothing, and return the exit code."""
    status = WELL
    for one in found:
        match responses[one.control].reply:
            case ApprovalsListed():
                continue
            case ActionRefused(text=text):
                status = max(status, conclude(DEGRADED, f"instance {one.instance.pid}: {text}"))
            case _:
                status = conclude(SILENT, f"instance {one.instance.pid} does not answer")
    return status


def _matches(approval_id: str, given: str) -> bool:
    return approval_id == given or approval_id.endswith(given)

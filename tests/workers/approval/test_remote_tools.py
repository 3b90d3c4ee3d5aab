"""Promises of the table for tools of the user's MCP servers."""

from itertools import product
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.config.tables.servers import ApprovalMode
from greenroom.protocol.mcp.toolset import APPROVAL_POLICIES, SANDBOX_MODES
from greenroom.workers.approval.remote_tools import CALLS, Hints, ToolClass, decide_call

SAID = st.none() | st.booleans()
HINTS = st.builds(Hints, SAID, SAID, SAID)
MODES = st.sampled_from(get_args(ApprovalMode))
POLICIES, SANDBOXES = st.sampled_from(APPROVAL_POLICIES), st.sampled_from(SANDBOX_MODES)


def test_the_table_is_complete() -> None:
    assert set(CALLS) == set(get_args(ApprovalMode))
    assert all(set(row) == set(get_args(ToolClass)) for row in CALLS.values())


def asks(mode: ApprovalMode, hints: Hints) -> bool:
    """Apply the rules as a chain of conditions, independently of the table."""
    match mode:
        case "approve":
            return False
        case "prompt":
            return True
        case "writes":
            return hints.read_only is not True
        case "auto":
            if hints.destructive:
                return True
            return not (hints.read_only or (hints.destructive is False and hints.open_world is False))


def test_somebody_is_asked_when_the_rules_say_so() -> None:
    values = (None, True, False)
    for mode, given_hints in product(get_args(ApprovalMode), product(values, repeat=3)):
        hints = Hints(*given_hints)
        verdict = decide_call("on-request", "workspace-write", mode, hints, remembered=False)
        assert (verdict == "ask") is asks(mode, hints), (mode, hints)


@given(POLICIES, SANDBOXES, MODES, HINTS, st.booleans())
def test_never_means_that_nobody_is_asked(
    policy: str, sandbox: str, mode: ApprovalMode, hints: Hints, remembered: bool
) -> None:
    verdict = decide_call(policy, sandbox, mode, hints, remembered=remembered)  # type: ignore[arg-type]
    assert policy != "never" or verdict != "ask"
    assert policy == "never" or verdict != "refuse"
    if remembered:
        assert verdict == "call"


@pytest.mark.parametrize(
    ("sandbox", "verdict"), [("danger-full-access", "call"), ("read-only", "refuse"), ("workspace-write", "refuse")]
)
def test_where_nothing_bounds_commands_nothing_bounds_tools_either(sandbox: str, verdict: str) -> None:
    decided = decide_call("never", sandbox, "prompt", Hints(), remembered=False)  # type: ignore[arg-type]
    assert decided == verdict

"""What is wrong is found, said in words, and turned into the exit code that scripts go by."""

from dataclasses import replace
from typing import get_args

import msgspec
import pytest

from greenroom.protocol.report import CredentialEntry, DeathEntry, ProcessEntry
from greenroom.supervisor.cli.status.control_client import ControlResponse
from greenroom.supervisor.cli.status.diagnostics import CODES, DEGRADED, SILENT, WELL, exit_code
from greenroom.supervisor.cli.status.overview import InstanceStatus, TroubleKind
from greenroom.supervisor.control.control_messages import ActionRefused
from tests.supervisor.cli.status.sights import (
    BROKER,
    ENTRIES,
    FORK_SERVER,
    FOUND,
    INSTANCE,
    NOW,
    TREE,
    WORKER,
    conversation,
    process,
    report,
    sight,
)

DEATH = DeathEntry.model_validate(
    {"at": NOW - 9, "process": "w-1", "pid": 9, "cause": "signal 9 (SIGKILL)", "max_rss": 1}
)
FAILED = conversation(state="failed", turn=None, last_death=DEATH)
STOPPED = [one if one.pid != WORKER else process(WORKER, FORK_SERVER, "gr-worker", "stopped") for one in TREE]
WITHOUT_BROKER = [one for one in TREE if one.pid != BROKER]
GIVEN_UP = [one if one.role != "broker" else ProcessEntry(role="broker", state="given_up") for one in ENTRIES]
YOUNG = msgspec.structs.replace(FOUND, instance=replace(INSTANCE, started_at=NOW - 1))

BAD: dict[str, tuple[InstanceStatus, list[TroubleKind], str]] = {
    "silent": (
        sight(response=ControlResponse("silent")),
        ["silent"],
        "does not answer; its last sign of life was 3s ago, at 14:02:08",
    ),
    "shut": (sight(response=ControlResponse("shut")), ["shut"], "does not listen on its control socket"),
    "garbled": (sight(response=ControlResponse("garbled")), ["unreadable"], "this version cannot read"),
    "refused": (
        sight(response=ControlResponse("answered", ActionRefused("not you"))),
        ["refused"],
        "does not tell: not you",
    ),
    "stopped": (sight(tree=STOPPED), ["process_stopped"], f"worker of ad78bbf82560 (pid {WORKER}) is stopped"),
    "missing": (sight(tree=WITHOUT_BROKER), ["process_missing"], "there is no broker"),
    "given up": (sight(report(processes=GIVEN_UP), tree=WITHOUT_BROKER), ["given_up"], "broker died too often"),
    "failed": (sight(report(conversations=[FAILED])), ["conversation_failed"], "the last time by signal 9 (SIGKILL)"),
    "login": (
        sight(report(credential=CredentialEntry(mode="none", state="REAUTH_REQUIRED"))),
        ["credential"],
        "log in again",
    ),
}


def test_an_instance_that_is_well_is() -> None:
    assert sight().troubles == ()
    assert exit_code([sight(), sight()]) == WELL


@pytest.mark.parametrize(("status", "kinds", "words"), BAD.values(), ids=BAD)
def test_trouble_is_found_and_said(status: InstanceStatus, kinds: list[TroubleKind], words: str) -> None:
    assert [trouble.kind for trouble in status.troubles] == kinds
    assert words in status.troubles[0].text
    assert exit_code([sight(), status]) == CODES[kinds[0]]


def test_silence_comes_before_all_else() -> None:
    stopped = [process(one.pid, one.parent, one.name, "stopped") for one in TREE]
    status = sight(response=ControlResponse("silent"), tree=stopped)
    assert status.troubles[0].kind == "silent"
    assert exit_code([sight(report(conversations=[FAILED])), status]) == SILENT


@pytest.mark.parametrize("state", ["SIGNED_OUT", "API_KEY", "FRESH", "STALE", "BLOCKED"])
def test_a_credential_that_serves_or_is_not_there_is_no_trouble(state: str) -> None:
    credential = CredentialEntry.model_validate({"mode": "none", "state": state})
    assert sight(report(credential=credential)).troubles == ()


def test_an_instance_that_has_just_started_need_not_be_complete() -> None:
    assert sight(tree=WITHOUT_BROKER, found=YOUNG).troubles == ()


def test_a_crash_that_was_answered_is_no_trouble() -> None:
    crashed = conversation(state="crashed", turn=None, last_death=DEATH)
    assert sight(report(conversations=[crashed])).troubles == ()


def test_every_kind_has_a_code() -> None:
    assert set(CODES) == set(get_args(TroubleKind))
    assert set(CODES.values()) == {SILENT, DEGRADED}

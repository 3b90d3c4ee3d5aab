"""The same conversations with the newest reference and with Greenroom: the same is told, but for what is listed."""

from collections.abc import Mapping, Sequence
from typing import Final

import pytest

from benchmarks.reference_program import NEWEST, Missing, ensure_reference
from tests.conformance.app_server.replay import RULES, SCENARIOS, hold, members, outline
from tests.conftest import Templates
from tests.support.client import Message
from tests.support.stage import Stage

pytestmark = [pytest.mark.server, pytest.mark.timeout(400)]  # the first run on a machine fetches the reference

ONLY_REFERENCE: Final[Mapping[str, str]] = {
    "warning": "it does not know the scripted model",
    "account/rateLimits/updated": "told without limits, after each response",
    "thread/readState/changed": "what a person has read; not kept here",
}
"""What Greenroom does not tell, by the beginning of its line, and why."""
UNORDERED: Final[Mapping[str, str]] = {
    "thread/status/changed active": "the flags of a waiting thread are told at other moments of the same exchange",
    "item/commandExecution/outputDelta": "the reference loses the output of the first 150 ms of a command",
    "error": "before the change of the status, not after it",
}
"""What is told at another place or another number of times."""
MISSING_MEMBERS: Final[Mapping[str, frozenset[str]]] = {
    "item agentMessage": frozenset({"completedAtMs", "delivery", "memoryCitation", "moderation", "questions"})
    | {"startedAtMs"},
    "item commandExecution": frozenset({"completedAtMs", "pluginId", "scriptPath", "startedAtMs"}),
    "item userMessage": frozenset({"completedAtMs", "startedAtMs"}),
    "item/commandExecution/requestApproval": frozenset({"availableDecisions", "environmentId", "kind"}),
    "item/completed": frozenset({"contentTokenCount"}),
    "turn/completed turn": frozenset({"rootTurnId"}),
    "turn/started turn": frozenset({"rootTurnId"}),
    "error error": frozenset({"misalignment"}),
    "turn/completed turn error": frozenset({"misalignment"}),
}
"""Members that Greenroom's messages do not have: none of them is required."""
ADDED_MEMBERS: Final[Mapping[str, frozenset[str]]] = {
    "item/commandExecution/requestApproval": frozenset({"reason"}),
}
"""Members that only Greenroom's messages have; the schema knows them."""

Told = Mapping[str, Sequence[list[Message]]]


@pytest.fixture(scope="module")
def told(request: pytest.FixtureRequest, _templates: Templates, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Return the messages of the reference and of Greenroom, by scenario."""
    reference = ensure_reference(release=NEWEST)
    if isinstance(reference, Missing):
        pytest.skip(reference.reason)

    def held(name: str, program: tuple[str, ...] | None = None) -> list[Message]:
        return _held(Stage(tmp_path_factory.mktemp("replay"), _templates(request)), program, name)

    return {name: (held(name, (reference.path, "app-server")), held(name)) for name in SCENARIOS}


def _held(stage: Stage, program: tuple[str, ...] | None, name: str) -> list[Message]:
    """Hold a conversation with a program, Greenroom where none is given."""
    stage.play(*RULES)
    stage.kills_expected = stage.trouble_expected = True
    try:
        return hold(stage, program or stage.command("app-server"), SCENARIOS[name])
    finally:
        for server in stage.servers:
            server.kill()
        stage.strike()


def _ordered(messages: list[Message]) -> list[str]:
    left_out = (*ONLY_REFERENCE, *UNORDERED)
    return [line for line in outline(messages) if not line.startswith(left_out)]


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_same_is_told_in_the_same_order(told: Told, name: str) -> None:
    reference, own = told[name]
    assert _ordered(own) == _ordered(reference)
    kinds = {line.partition(" ")[0] for line in outline(own)} - {line.partition(" ")[0] for line in outline(reference)}
    assert kinds <= {"item/commandExecution/outputDelta"}


def test_messages_have_the_members_of_the_reference_but_for_those_that_are_listed(told: Told) -> None:
    missing: dict[str, set[str]] = {}
    added: dict[str, set[str]] = {}
    for reference, own in told.values():
        theirs, ours = members(reference), members(own)
        for kind in theirs.keys() & ours.keys():
            missing.setdefault(kind, set()).update(theirs[kind] - ours[kind])
            added.setdefault(kind, set()).update(ours[kind] - theirs[kind])
    assert {kind: names for kind, names in missing.items() if names} == MISSING_MEMBERS
    assert {kind: names for kind, names in added.items() if names} == ADDED_MEMBERS

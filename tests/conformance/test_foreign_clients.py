"""Third-party clients of every generation hold a whole conversation without errors."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from tests.conformance.foreign import CAST, FIRST, REPLY, RULES, Program, Report, inspector, play_all
from tests.conformance.packages import UnavailableError
from tests.support.server import SCRIPT
from tests.support.stage import Stage

NOTHING: Final = r"(?!)"
ANSWER_OF_A_CANCELLED_CALL: Final = r"Received a response for an unknown message ID: .*Turn aborted: interrupted"
PROGRESS_WITH_THE_ANSWER: Final = r"Received a progress notification for an unknown token: "
"""These clients handle a notification a step later than an answer that they read with it, whose token is then gone."""
COMPLAINTS: Final[Mapping[str, str]] = {
    "Python SDK 1": NOTHING,
    # The answer releases clients that go on waiting.
    "TypeScript SDK 1": f"{ANSWER_OF_A_CANCELLED_CALL}|{PROGRESS_WITH_THE_ANSWER}",
    "TypeScript SDK 2, legacy": f"{ANSWER_OF_A_CANCELLED_CALL}|{PROGRESS_WITH_THE_ANSWER}",
}
"""What each may say, for the reason given. Anything else is a failure."""

pytestmark = [pytest.mark.server, pytest.mark.timeout(150)]  # the first run on a machine installs the clients


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Report | UnavailableError]]:
    stage = Stage(tmp_path_factory.mktemp("foreign"))
    stage.play(*RULES)
    try:
        yield play_all(stage)
    finally:
        stage.kills_expected = True  # some clients end their probe with SIGKILL
        stage.strike()


@pytest.fixture(params=CAST)
def name(request: pytest.FixtureRequest) -> str:
    found = request.param
    assert isinstance(found, str)
    return found


@pytest.fixture
def report(name: str, reports: dict[str, Report | UnavailableError]) -> Report:
    found = reports[name]
    if isinstance(found, UnavailableError):
        pytest.skip(str(found))
    return found


def text_of(result: Mapping[str, Any]) -> str:
    assert not result.get("isError"), result
    (block,) = result["content"]
    text = block["text"]
    assert isinstance(text, str)
    return text


def test_a_client_holds_a_whole_conversation(report: Report) -> None:
    assert report["tools"][:2] == ["codex", "codex-reply"]
    results = [report["first"], report["reply"], report["last"]]
    texts = [text_of(result) for result in results]
    assert texts == ["Good day to you", "And to you again.", "And to you again."]
    assert len({result["structuredContent"]["threadId"] for result in results}) == 1


def test_a_client_is_asked_for_approval_once(report: Report) -> None:
    (question,) = report["questions"]
    assert question.startswith("Allow Codex to run `sh -c ")


def test_a_client_sees_progress_and_can_give_up(report: Report) -> None:
    assert report["progress"] >= 1
    assert report["given_up"] != "answered"


def test_a_client_complains_of_nothing_unexpected(name: str, report: Report) -> None:
    unexpected = [text for text in report["complaints"] if re.match(COMPLAINTS[name], text) is None]
    assert unexpected == []


@pytest.fixture
def command_line() -> Program:
    try:
        return inspector()
    except UnavailableError as error:
        pytest.skip(str(error))


def inspect(program: Program, stage: Stage, *arguments: str) -> dict[str, Any]:
    """Let the inspector ask one question of a server of its own, and return the result."""
    ended = program.run(str(SCRIPT), "mcp-server", "--method", *arguments, **stage.environment())
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
    result: dict[str, Any] = json.loads(ended.stdout)
    return result


def test_the_inspector_goes_on_with_a_conversation_of_another_process(stage: Stage, command_line: Program) -> None:
    stage.play(*RULES)
    listed = inspect(command_line, stage, "tools/list")["tools"]
    assert [tool["name"] for tool in listed][:2] == ["codex", "codex-reply"]
    call = ("tools/call", "--tool-name")
    first = inspect(command_line, stage, *call, "codex", "--tool-arg", f"prompt={FIRST}")
    thread = first["structuredContent"]["threadId"]
    reply = inspect(command_line, stage, *call, "codex-reply", "--tool-arg", f"prompt={REPLY}", f"threadId={thread}")
    assert (text_of(first), text_of(reply)) == ("Good day to you", "And to you again.")
    assert Path(stage.home.session(thread)).is_file()

"""Third-party clients of every generation hold a whole conversation with one host over HTTP, all at once."""

from collections.abc import Iterator
from typing import Final

import pytest

from tests.conformance.foreign import CAST, RULES, Report, play_all
from tests.conformance.packages import UnavailableError
from tests.conformance.test_foreign_clients import text_of
from tests.support.http_process import hosting_http
from tests.support.stage import Stage

VERSIONS: Final = {
    "Python SDK 1": "2025-11-25",
    "TypeScript SDK 1": "2025-11-25",
    "TypeScript SDK 2, legacy": "2025-11-25",
    "TypeScript SDK 2, auto": "2026-07-28",
}

pytestmark = [pytest.mark.server, pytest.mark.timeout(150)]  # the first run on a machine installs the clients


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Report | UnavailableError]]:
    stage = Stage(tmp_path_factory.mktemp("foreign"))
    stage.play(*RULES)
    try:
        with hosting_http(stage) as served:
            yield play_all(stage, {"url": served.url, "headers": served.headers})
    finally:
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


def test_a_client_holds_a_whole_conversation_over_http(name: str, report: Report) -> None:
    assert report["tools"][:2] == ["codex", "codex-reply"]
    results = [report["first"], report["reply"], report["last"]]
    texts = [text_of(result) for result in results]
    assert texts == ["Good day to you", "And to you again.", "And to you again."]
    assert len({result["structuredContent"]["threadId"] for result in results}) == 1
    assert report["version"] == VERSIONS[name]


def test_a_client_is_asked_for_approval_over_http(report: Report) -> None:
    (question,) = report["questions"]
    assert question.startswith("Allow Codex to run `sh -c ")


def test_a_client_sees_progress_over_http_and_can_give_up(report: Report) -> None:
    assert report["progress"] >= 1
    assert report["given_up"] != "answered"

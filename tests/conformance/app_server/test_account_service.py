"""The methods for which the account's service is asked, with the newest reference and with Greenroom: both send the
same requests and make the same of the answers."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from benchmarks.reference_program import NEWEST, Missing, ensure_reference
from tests.broker.homes import tokens, write
from tests.conformance.app_server.schemas import Judge, printed_schemas
from tests.supervisor.frontend.app_server.account.samples import COST, MESSAGES, NOTICE, PROFILE, RESETS, THREAD, USAGE
from tests.support.account_service import AccountService, Asked, Told
from tests.support.app_server import PROGRAM, AppServer
from tests.support.stage import Stage

pytestmark = [pytest.mark.server, pytest.mark.timeout(400)]  # the first run on a machine fetches the reference

KEY: Final = "sk-test-0123456789abcdefghijklmnopqrs"
HEADERS: Final = ("authorization", "cache-control", "chatgpt-account-id", "content-type", "x-openai-codex-luna-reserve")
"""Those that matter to the service; others depend on the library."""
OF_THE_REFERENCE: Final = ("accounts/check", "/ps/")
"""What it asks besides, for features that are not here."""
LIMITS, TOKENS = "account/rateLimits/read", "account/usage/read"
CONSUME, NUDGE = "account/rateLimitResetCredit/consume", "account/sendAddCreditsNudgeEmail"
TEXTS, SETUP = "account/workspaceMessages/read", "account/securitySetup/read"
QUERY = "usage/thread_usage/query"


class Scenario(NamedTuple):
    """A request, and what the service tells."""

    method: str
    params: Mapping[str, object] | None
    told: Mapping[str, Told]


SCENARIOS: Final[Mapping[str, Scenario]] = {
    "limits": Scenario(LIMITS, None, {"usage": Told(body=USAGE), "rate-limit-reset-credits": Told(body=RESETS)}),
    "limits without details": Scenario(
        LIMITS, {"excludeResetCreditDetails": True, "supportsLunaReserve": True}, {"usage": Told(body=USAGE)}
    ),
    "limits of another user": Scenario(LIMITS, None, {"usage": Told(body={**USAGE, "user_id": "user-9"})}),
    "few limits": Scenario(LIMITS, None, {"usage": Told(body={"plan_type": "education"})}),
    "limits of another form": Scenario(LIMITS, None, {"usage": Told(body={})}),
    "limits refused": Scenario(LIMITS, None, {"usage": Told(500, b"boom")}),
    "tokens": Scenario(TOKENS, None, {"profiles/me": Told(body=PROFILE)}),
    "no tokens": Scenario(TOKENS, {}, {"profiles/me": Told(body={"stats": {}})}),
    "tokens of another form": Scenario(TOKENS, None, {"profiles/me": Told(body=[])}),
    "tokens that are not JSON": Scenario(TOKENS, None, {"profiles/me": Told(body=b"hello")}),
    "tokens refused": Scenario(TOKENS, None, {"profiles/me": Told(403)}),
    "cost": Scenario(TOKENS, {"threadId": THREAD}, {QUERY: Told(body={"threads": [COST]})}),
    "cost of an unknown thread": Scenario(TOKENS, {"threadId": THREAD}, {}),
    "cost without the thread": Scenario(TOKENS, {"threadId": THREAD}, {QUERY: Told(body={"threads": []})}),
    "cost of no thread": Scenario(TOKENS, {"threadId": "0199"}, {}),
    "messages": Scenario(TEXTS, None, {"workspace-messages": Told(body=MESSAGES)}),
    "no messages": Scenario(TEXTS, None, {}),
    "messages refused": Scenario(TEXTS, None, {"workspace-messages": Told(403)}),
    "reset": Scenario(
        CONSUME,
        {"idempotencyKey": "k", "creditId": "c"},
        {"rate-limit-reset-credits/consume": Told(body={"code": "nothing_to_reset"})},
    ),
    "reset refused": Scenario(CONSUME, {"idempotencyKey": "k"}, {}),
    "nudge": Scenario(NUDGE, {"creditType": "usage_limit"}, {"accounts/send_add_credits_nudge_email": Told(body=b"")}),
    "nudge too soon": Scenario(NUDGE, {"creditType": "credits"}, {"accounts/send_add_credits_nudge_email": Told(429)}),
    "notice": Scenario(SETUP, None, {"security-setup": Told(body=NOTICE)}),
    "no notice": Scenario(SETUP, None, {"security-setup": Told(500)}),
}


class Seen(NamedTuple):
    """What came of a request."""

    answer: dict[str, Any]
    asked: list[tuple[str, str, dict[str, str], bytes]]


class Side:
    """One program with a service of its own."""

    def __init__(self, path: Path, program: tuple[str, ...], service: AccountService, *, judged: bool) -> None:
        self.service = service
        self.stage = Stage(path)
        self.stage.trouble_expected = self.stage.kills_expected = True
        settings = f'chatgpt_base_url = "{service.base_url}"\ncli_auth_credentials_store = "file"\n'
        self.stage.home.config.write_text(settings)
        self.content = tokens("refresh-of-the-test")
        write(str(self.stage.home.path), self.content)
        environment = self.stage.environment(HOME=str(self.stage.home.path))
        self.server = AppServer(program, environment, self.stage.log)
        self.stage.servers.append(self.server)
        schemas = printed_schemas()
        if judged and not isinstance(schemas, Missing):
            self.server.app.judge = Judge(schemas)
        self.server.app.hello()

    def see(self, scenario: Scenario) -> Seen:
        """Play a scenario."""
        self.service.answers = dict(scenario.told)
        before = len(self.service.asked)
        answer = self.server.app.ask(scenario.method, scenario.params)
        asked = [one for one in self.service.asked[before:] if not any(name in one.path for name in OF_THE_REFERENCE)]
        answer.pop("id")
        return Seen(answer, sorted(map(_outline, asked)))

    def close(self) -> None:
        """End the program."""
        self.server.kill()
        self.stage.strike()


def _outline(asked: Asked) -> tuple[str, str, dict[str, str], bytes]:
    headers = {name: asked.headers[name] for name in HEADERS if name in asked.headers}
    access = headers["authorization"].partition(".")[0]
    return asked.method, asked.path, {**headers, "authorization": access}, asked.body


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    """Return the reference."""
    reference = ensure_reference(release=NEWEST)
    if isinstance(reference, Missing):
        pytest.skip(reference.reason)
    with AccountService() as service:
        side = Side(tmp_path_factory.mktemp("theirs"), (reference.path, "app-server"), service, judged=False)
        yield side
        side.close()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    """Return Greenroom."""
    with AccountService() as service:
        side = Side(tmp_path_factory.mktemp("own"), PROGRAM, service, judged=True)
        yield side
        side.close()


@pytest.mark.parametrize("name", SCENARIOS)
def test_both_ask_and_answer_the_same(theirs: Side, own: Side, name: str) -> None:
    """The text of an error begins in the same way; what follows is said in other words."""
    expected, seen = (side.see(SCENARIOS[name]) for side in (theirs, own))
    assert seen.asked == expected.asked
    if "error" in expected.answer:
        assert seen.answer["error"]["code"] == expected.answer["error"]["code"]
        beginning = expected.answer["error"]["message"].partition(":")[0]
        assert seen.answer["error"]["message"].partition(":")[0] == beginning
    else:
        assert seen.answer == expected.answer


def test_a_redirect_is_followed_by_the_reference_alone(theirs: Side, own: Side) -> None:
    """The bearer goes nowhere but to the service that was configured."""
    told = {"profiles/me": Told(302, b"", {"location": "other"}), "profiles/other": Told(body=PROFILE)}
    expected, seen = (side.see(Scenario(TOKENS, None, told)) for side in (theirs, own))
    assert (len(expected.asked), len(seen.asked)) == (2, 1)
    assert seen.answer["error"]["message"].endswith(" failed: 302 Found")


def test_nothing_tells_a_token(own: Side) -> None:
    held = own.content["tokens"]
    assert isinstance(held, dict)
    echo = f"{held['access_token']} {held['id_token']}"
    told = own.see(Scenario(TOKENS, None, {"profiles/me": Told(500, echo.encode())}))
    texts = (
        json.dumps(told.answer),
        own.stage.told(),
        *(path.read_text() for path in own.stage.home.path.rglob("*.log")),
    )
    for text in texts:
        assert not any(str(held[name]) in text for name in ("access_token", "refresh_token", "id_token"))


def test_another_login_is_refused_in_the_same_words(theirs: Side, own: Side) -> None:
    """The last test here, since it ends the login."""
    for method, params in (("account/login/start", {"type": "apiKey", "apiKey": KEY}), ("account/logout", None)):
        for side in (theirs, own):
            assert "result" in side.server.app.ask(method, params)
        for name in ("limits", "tokens", "cost", "messages", "reset", "nudge", "notice"):
            expected, seen = (side.see(SCENARIOS[name]) for side in (theirs, own))
            assert seen == expected
            assert seen.asked == []

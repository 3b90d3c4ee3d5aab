"""Each provider's requests carry the credential that is meant for it, and no other server sees a login."""

import time
from collections.abc import Iterable
from email.utils import formatdate
from typing import Any

import msgspec
import pytest

from greenroom.config.section import check
from greenroom.config.tables.providers import ModelProvider
from greenroom.protocol.errors import UnauthorizedError
from greenroom.protocol.internal.broker.answers import AuthError, BearerSnapshot, ProviderToken, UnauthorizedReport
from greenroom.protocol.internal.broker.questions import TokenCommand
from greenroom.workers.model.credentials.bearer import ProviderCredentials
from greenroom.workers.model.credentials.channel import CredentialError
from greenroom.workers.model.credentials.credential import CredentialsDelayedError
from tests.support.loop import on_loop

LOGIN = BearerSnapshot(
    generation=1,
    broker_epoch="e",
    mode="chatgpt",
    token="login-token",
    account_id="acct",
    identity_key="ada",
    source="store",
)


class StubChannel:
    """Answers as the auth broker would."""

    def __init__(self, variables: dict[str, str] | None = None, answer: BearerSnapshot | AuthError = LOGIN) -> None:
        self._variables = variables or {}
        self.answer = answer
        self.outcome: Any = "refreshed"
        self.asked: list[tuple[str, object]] = []
        self.starts = 0
        self.is_lost = False
        self.report: dict[str, Any] = {}
        self.clocks: list[float] = []

    async def start(self) -> None:
        self.starts += 1

    async def get_auth(self, pin_identity: str | None = None) -> BearerSnapshot:
        self.asked.append(("auth", pin_identity))
        if isinstance(self.answer, AuthError):
            raise CredentialError(self.answer)
        return self.answer

    async def get_environment(self, names: Iterable[str]) -> dict[str, str]:
        self.asked.append(("environment", tuple(names)))
        if isinstance(self.answer, AuthError):
            raise CredentialError(self.answer)
        return {name: self._variables[name] for name in names if name in self._variables}

    async def get_provider_token(self, command: TokenCommand, rejected: int | None = None) -> ProviderToken:
        self.asked.append((command.command, rejected))
        return ProviderToken(serial=len(self.asked), token=f"token {len(self.asked)}")

    def report_clock(self, ahead: float) -> None:
        self.clocks.append(ahead)

    async def report_unauthorized(self, snapshot: BearerSnapshot, status: int) -> UnauthorizedReport:
        self.asked.append(("rejected", status))
        return UnauthorizedReport(outcome=self.outcome, **self.report)


def credentials(channel: StubChannel, **provider: Any) -> ProviderCredentials:
    return ProviderCredentials(check(ModelProvider, provider), lambda: channel)  # type: ignore[arg-type, return-value]


@on_loop
async def test_a_provider_that_wants_nothing_gets_nothing() -> None:
    channel = StubChannel()
    bearer = await credentials(channel).bearer()
    assert (bearer.token, bearer.mode) == (None, "none")
    assert channel.asked == [], "nobody is asked for what is not needed"
    assert channel.starts == 0


@on_loop
async def test_a_providers_own_key_comes_from_the_broker() -> None:
    channel = StubChannel({"MOCK_KEY": " the-key\n"})
    bearer = await credentials(channel, env_key="MOCK_KEY").bearer()
    assert (bearer.token, bearer.mode) == ("the-key", "apikey")
    assert channel.asked == [("environment", ("MOCK_KEY",))]


@on_loop
async def test_a_key_that_is_no_secret_by_its_name_is_our_own_to_read() -> None:
    channel = StubChannel()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOCK_PASS", "the-key")
        assert (await credentials(channel, env_key="MOCK_PASS").bearer()).token == "the-key"
    assert channel.asked == []


@pytest.mark.parametrize("value", [None, "", "  \n"])
def test_a_missing_key_is_named_with_what_to_do(value: str | None) -> None:
    @on_loop
    async def scene() -> None:
        channel = StubChannel({} if value is None else {"MOCK_KEY": value})
        provider = credentials(channel, env_key="MOCK_KEY", env_key_instructions="Ask Ada.")
        with pytest.raises(UnauthorizedError) as caught:
            await provider.bearer()
        assert str(caught.value) == "Missing environment variable: `MOCK_KEY`. Ask Ada."

    scene()


@on_loop
async def test_a_key_goes_before_a_token_and_a_token_before_the_login() -> None:
    channel = StubChannel({"MOCK_KEY": "the-key"})
    everything = {"env_key": "MOCK_KEY", "experimental_bearer_token": "a-token", "requires_openai_auth": True}
    assert (await credentials(channel, **everything).bearer()).token == "the-key"
    del everything["env_key"]
    assert (await credentials(channel, **everything).bearer()).token == "a-token"
    del everything["experimental_bearer_token"]
    assert (await credentials(channel, **everything).bearer()).token == "login-token"


@on_loop
async def test_a_missing_key_falls_back_to_the_login_where_that_is_wanted() -> None:
    provider = credentials(StubChannel(), env_key="MOCK_KEY", requires_openai_auth=True)
    bearer = await provider.bearer()
    assert (bearer.token, bearer.account_id, bearer.mode) == ("login-token", "acct", "chatgpt")


@on_loop
async def test_the_login_is_asked_for_anew_for_every_attempt_and_stays_one_account_within_a_turn() -> None:
    channel = StubChannel()
    provider = credentials(channel, requires_openai_auth=True)
    for _ in range(2):
        await provider.bearer()
    provider.begin_turn()
    await provider.bearer()
    assert channel.asked == [("auth", None), ("auth", "ada"), ("auth", None)]
    assert channel.starts == 1, "one line to the broker is enough"


@pytest.mark.parametrize(
    ("outcome", "again"),
    [("newer", True), ("reloaded", True), ("refreshed", True), ("signed_out", False), ("permanent", False)],
)
def test_a_refused_login_is_reported_and_the_broker_says_whether_to_try_again(outcome: str, again: bool) -> None:
    @on_loop
    async def scene() -> None:
        channel = StubChannel()
        channel.outcome = outcome
        provider = credentials(channel, requires_openai_auth=True)
        bearer = await provider.bearer()
        assert await provider.rejected(bearer, 401) is again
        assert channel.asked[-1] == ("rejected", 401)

    scene()


@pytest.mark.parametrize("outcome", ["permanent", "exhausted", "identity_changed"])
def test_a_login_that_cannot_be_renewed_ends_the_turn_with_the_reason(outcome: str) -> None:
    """K20."""

    @on_loop
    async def scene() -> None:
        channel = StubChannel()
        channel.outcome, channel.report = outcome, {"user_text": "Please sign in again."}
        provider = credentials(channel, requires_openai_auth=True)
        with pytest.raises(UnauthorizedError, match=r"^Please sign in again\.$"):
            await provider.rejected(await provider.bearer(), 401)

    scene()


@on_loop
async def test_a_turn_goes_on_with_its_last_bearer_while_the_broker_is_away() -> None:
    """K27: for as long as it lasts, unless the server has refused it, and not for another turn."""
    channel = StubChannel(answer=msgspec.structs.replace(LOGIN, expires_at=int(time.time()) + 3600))
    provider = credentials(channel, requires_openai_auth=True)
    channel.is_lost = True
    await provider.bearer()
    assert len(channel.asked) == 1, "a turn that has had none waits for the broker"
    assert (await provider.bearer()).token == "login-token"
    assert len(channel.asked) == 1
    provider.begin_turn()
    await provider.bearer()
    assert len(channel.asked) == 2


@on_loop
async def test_a_refused_or_expiring_bearer_is_not_used_again_while_the_broker_is_away() -> None:
    """K27."""
    channel = StubChannel(answer=msgspec.structs.replace(LOGIN, expires_at=int(time.time()) + 20))
    provider = credentials(channel, requires_openai_auth=True)
    bearer = await provider.bearer()
    channel.is_lost = True
    await provider.bearer()
    assert channel.asked == [("auth", None), ("auth", "ada")], "twenty seconds are not enough"
    channel.answer = LOGIN
    bearer = await provider.bearer()
    await provider.rejected(bearer, 401)
    await provider.bearer()
    assert channel.asked[-2:] == [("rejected", 401), ("auth", "ada")]


@on_loop
async def test_a_clock_that_is_off_is_told_once_and_counts_here_too() -> None:
    """K13."""
    channel = StubChannel(answer=msgspec.structs.replace(LOGIN, expires_at=int(time.time()) - 3000))
    provider = credentials(channel, requires_openai_auth=True)
    bearer = await provider.bearer()
    for ahead in (0, 30, 3600, 3630):
        provider.answered(bearer, formatdate(time.time() - ahead, usegmt=True))
    provider.answered(bearer, None)
    provider.answered(bearer, "yesterday")
    (told,) = channel.clocks
    assert abs(told - 3600) < 30
    channel.is_lost = True
    await provider.bearer()
    assert channel.asked == [("auth", None)], "by the server's clock the bearer is good for ten minutes more"


@on_loop
async def test_only_a_server_that_a_login_goes_to_is_believed() -> None:
    """K13."""
    channel = StubChannel({"MOCK_KEY": "the-key"})
    provider = credentials(channel, env_key="MOCK_KEY")
    provider.answered(await provider.bearer(), formatdate(0, usegmt=True))
    assert channel.clocks == []


@on_loop
async def test_a_refused_key_is_nobodys_to_renew() -> None:
    channel = StubChannel({"MOCK_KEY": "the-key"})
    provider = credentials(channel, env_key="MOCK_KEY")
    bearer = await provider.bearer()
    assert await provider.rejected(bearer, 401) is False


@on_loop
async def test_a_renewal_that_will_succeed_later_is_waited_for() -> None:
    channel = StubChannel()
    channel.outcome = "transient"
    provider = credentials(channel, requires_openai_auth=True)
    channel.report = {"retry_after_ms": 2500}
    bearer = await provider.bearer()
    with pytest.raises(CredentialsDelayedError) as caught:
        await provider.rejected(bearer, 401)
    assert caught.value.retry_after == 2.5


@on_loop
async def test_what_goes_away_by_itself_is_told_apart_from_what_does_not() -> None:
    delayed = StubChannel(answer=AuthError(code="transient", retry_after_ms=1500))
    with pytest.raises(CredentialsDelayedError) as caught:
        await credentials(delayed, requires_openai_auth=True).bearer()
    assert caught.value.retry_after == 1.5
    with pytest.raises(CredentialsDelayedError):
        await credentials(delayed, env_key="MOCK_KEY").bearer()
    signed_out = StubChannel(answer=AuthError(code="signed_out", user_text="Not logged in"))
    with pytest.raises(UnauthorizedError, match="Not logged in"):
        await credentials(signed_out, requires_openai_auth=True).bearer()


@on_loop
async def test_no_token_is_shown() -> None:
    bearer = await credentials(StubChannel(), requires_openai_auth=True).bearer()
    assert "login-token" not in repr(bearer)
    assert "login-token" not in repr(LOGIN)


@on_loop
async def test_a_program_gives_the_token_and_another_one_after_a_refusal() -> None:
    channel = StubChannel()
    held = credentials(channel, auth={"command": "/usr/bin/token"})
    first = await held.bearer()
    assert (first.token, first.renewable, first.is_chatgpt) == ("token 1", True, False)
    assert await held.rejected(first, 401)
    assert (await held.bearer()).token == "token 2"
    await held.bearer()
    assert channel.asked == [("/usr/bin/token", None), ("/usr/bin/token", 1), ("/usr/bin/token", None)]

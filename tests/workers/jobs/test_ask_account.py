"""The login decides whether the account's service is asked, and a refused bearer is replaced once."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import msgspec
import pytest
from msgspec.structs import replace

from greenroom.protocol.errors import ConfigError
from greenroom.protocol.internal.account import AccountCall, AccountReplies, AskAccount
from greenroom.protocol.internal.broker.answers import AuthError, BearerSnapshot, UnauthorizedReport
from greenroom.protocol.internal.broker.body import UnauthorizedOutcome
from greenroom.workers.job_context import JobError, Setting
from greenroom.workers.jobs.ask_account import run
from greenroom.workers.model.credentials.channel import CredentialError, CredentialsChannel
from tests.support.account_service import AccountService, Told
from tests.support.loop import on_loop
from tests.workers.account.test_exchange import BEARER

SECOND = replace(BEARER, token="second-access-token-987654321", generation=2)
ASKED = AskAccount(calls=(AccountCall(route="usage"), AccountCall(route="other")), user_agent="agent/1")
REFUSED = Told(401, {"detail": "expired"})


class Broker:
    """The broker as a worker sees it."""

    def __init__(self, held: BearerSnapshot | AuthError, report: UnauthorizedReport | None = None) -> None:
        self._held = held
        self._report = report
        self.refused: list[BearerSnapshot] = []

    async def start(self) -> None:
        pass

    async def get_auth(self) -> BearerSnapshot:
        if isinstance(self._held, AuthError):
            raise CredentialError(self._held)
        return self._held

    async def report_unauthorized(self, snapshot: BearerSnapshot, status: int) -> UnauthorizedReport:
        assert status == 401
        self.refused.append(snapshot)
        assert self._report is not None
        return self._report


async def ask(home: Path, broker: Broker, service: AccountService | None = None) -> AccountReplies:
    base_url = "http://127.0.0.1:1/nobody" if service is None else service.base_url
    (home / "config.toml").write_text(f'chatgpt_base_url = "{base_url}"\n')
    setting = Setting(str(home), "", open_credentials=lambda: cast("CredentialsChannel", broker))
    return msgspec.json.decode(await run(msgspec.json.encode(ASKED), setting), type=AccountReplies)


def statuses(replies: AccountReplies) -> Sequence[int]:
    return [reply.status for reply in replies.replies]


@on_loop
async def test_without_a_chatgpt_login_nothing_is_sent(tmp_path: Path) -> None:
    with AccountService() as service:
        signed_out = await ask(tmp_path, Broker(AuthError(code="signed_out", user_text="log in")), service)
        key = await ask(tmp_path, Broker(replace(BEARER, mode="apikey", account_id=None)), service)
    assert (signed_out.mode, key.mode) == ("none", "apikey")
    assert signed_out.replies == key.replies == ()
    assert service.asked == []


@pytest.mark.parametrize("code", ["reauth_required", "transient", "store_malformed"])
@on_loop
async def test_a_login_that_cannot_be_used_fails_with_the_reason(tmp_path: Path, code: str) -> None:
    error = msgspec.convert({"code": code, "user_text": "the reason"}, AuthError)
    with pytest.raises(CredentialError, match="the reason"):
        await ask(tmp_path, Broker(error))


@on_loop
async def test_the_answers_come_with_the_account_that_they_are_about(tmp_path: Path) -> None:
    with AccountService({"usage": Told(body={"a": 1}), "other": Told(500)}) as service:
        replies = await ask(tmp_path, Broker(BEARER), service)
    assert (replies.mode, replies.account_id, replies.user_id) == ("chatgpt", "acc-1", "user-1")
    assert statuses(replies) == [200, 500]


@pytest.mark.parametrize("outcome", ["newer", "reloaded", "refreshed"])
@on_loop
async def test_a_refused_bearer_is_replaced_and_only_what_was_refused_is_repeated(
    tmp_path: Path, outcome: UnauthorizedOutcome
) -> None:
    broker = Broker(BEARER, UnauthorizedReport(outcome=outcome, snapshot=SECOND))
    with AccountService({"usage": Told(body={"a": 1}), "other": Told(body=1)}) as service:
        service.by_token["usage", BEARER.token] = REFUSED
        replies = await ask(tmp_path, broker, service)
    assert statuses(replies) == [200, 200]
    assert broker.refused == [BEARER]
    assert service.routes() == ["GET other", "GET usage", "GET usage"]
    assert service.asked[-1].headers["authorization"] == f"Bearer {SECOND.token}"


@on_loop
async def test_a_bearer_that_is_refused_again_is_not_reported_again(tmp_path: Path) -> None:
    broker = Broker(BEARER, UnauthorizedReport(outcome="refreshed", snapshot=SECOND))
    with AccountService({"usage": REFUSED, "other": Told(body=1)}) as service:
        replies = await ask(tmp_path, broker, service)
    assert statuses(replies) == [401, 200]
    assert len(broker.refused) == 1


@pytest.mark.parametrize("outcome", ["identity_changed", "signed_out", "permanent", "exhausted", "transient"])
@on_loop
async def test_where_there_is_no_other_bearer_the_advice_of_the_broker_is_told(
    tmp_path: Path, outcome: UnauthorizedOutcome
) -> None:
    broker = Broker(BEARER, UnauthorizedReport(outcome=outcome, user_text="log in again"))
    with AccountService({"usage": REFUSED, "other": Told(body=1)}) as service:
        replies = await ask(tmp_path, broker, service)
    assert replies.replies[0].complaint == "401 Unauthorized: expired (log in again)"
    assert replies.replies[1].is_success
    assert len(service.asked) == 2


@on_loop
async def test_a_configuration_that_is_wrong_and_a_worker_without_a_broker(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="no auth broker"):
        await run(msgspec.json.encode(ASKED), Setting(str(tmp_path), ""))
    (tmp_path / "config.toml").write_text("chatgpt_base_url = 5\n")
    with pytest.raises(ConfigError):
        await run(msgspec.json.encode(ASKED), Setting(str(tmp_path), ""))

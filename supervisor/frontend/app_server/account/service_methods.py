"""The methods for which the service of the user's account is asked, with the login in force.

A job asks it (`greenroom.workers.jobs.ask_account`): this process neither has a bearer nor waits for a server.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar
from uuid import UUID

import msgspec
from msgspec import Raw

from greenroom.protocol.app_server import account as wire
from greenroom.protocol.internal.account import AccountCall, AccountReplies, AccountReply, AskAccount
from greenroom.protocol.jsonrpc import INTERNAL_ERROR, INVALID_REQUEST, Request, encode
from greenroom.supervisor.conversations.jobs.jobs import JobFailedError, Jobs
from greenroom.supervisor.frontend.app_server.account import service_answers as service
from greenroom.supervisor.frontend.app_server.account import service_form as form
from greenroom.supervisor.frontend.app_server.channel import AppServerChannel
from greenroom.supervisor.frontend.request_params import RefusedError, decode
from greenroom.supervisor.frontend.request_queue import AnswerMethod, RequestAnswer

log = logging.getLogger(__name__)

A = TypeVar("A", bound=service.ServiceAnswer)

NOT_FOUND: Final = 404
TOO_MANY: Final = 429
NOT_YOURS: Final = frozenset({403, 404})
"""Statuses with which the service says that it knows nothing of the cost of a thread."""
_LUNA_RESERVE: Final = {"x-openai-codex-luna-reserve": "1"}


class AccountServiceMethods:
    """These methods on one connection."""

    def __init__(self, jobs: Jobs, channel: AppServerChannel) -> None:
        self._jobs = jobs
        self._channel = channel
        self.methods: dict[str, AnswerMethod] = {
            "account/rateLimits/read": self._rate_limits,
            "account/usage/read": self._usage,
            "account/workspaceMessages/read": self._messages,
            "account/rateLimitResetCredit/consume": self._consume,
            "account/sendAddCreditsNudgeEmail": self._nudge,
            "account/securitySetup/read": self._security_setup,
        }

    async def _rate_limits(self, request: Request) -> RequestAnswer:
        params = _decode(request, wire.GetAccountRateLimitsParams)
        failure = "failed to fetch codex rate limits"
        calls = [AccountCall(route="usage", headers=_LUNA_RESERVE if params.supports_luna_reserve else {})]
        if not params.exclude_reset_credit_details:
            calls.append(AccountCall(route="rate-limit-reset-credits"))
        told = await self._ask(calls, "to read rate limits", failure)
        usage = _read(told.replies[0], service.AccountUsage, failure)
        resets = None if len(told.replies) == 1 else _read_or_none(told.replies[1], service.ResetCredits)
        return RequestAnswer(encode(form.rate_limits(usage, resets, told.account_id, told.user_id)))

    async def _usage(self, request: Request) -> RequestAnswer:
        params = _decode(request, wire.GetAccountTokenUsageParams)
        if params.thread_id is not None:
            return await self._thread_usage(params.thread_id)
        failure = "failed to fetch token usage profile"
        told = await self._ask([AccountCall(route="profiles/me")], "to read token usage", failure)
        return RequestAnswer(encode(form.account_token_usage(_read(told.replies[0], service.AccountProfile, failure))))

    async def _thread_usage(self, named: str) -> RequestAnswer:
        thread_id, failure = _uuid(named), "failed to fetch thread usage"
        query = AccountCall(route="usage/thread_usage/query", body=_json({"thread_ids": [thread_id]}))
        told = await self._ask([query], "to read token usage", failure)
        if told.replies[0].status in NOT_YOURS:
            return RequestAnswer(encode(wire.GetAccountTokenUsageResponse()))
        costs = _read(told.replies[0], service.ThreadCosts, failure).threads
        cost = next((one for one in costs if one.thread_id == thread_id), None)
        if cost is None:
            raise RefusedError(INTERNAL_ERROR, f"{failure}: the answer does not mention the thread")
        return RequestAnswer(encode(form.thread_usage(cost)))

    async def _messages(self, _: Request) -> RequestAnswer:
        failure = "failed to fetch workspace messages"
        call = AccountCall(route="workspace-messages", headers={"cache-control": "no-store"})
        told = await self._ask([call], "to read workspace messages", failure)
        has_none = told.replies[0].status == NOT_FOUND
        messages = None if has_none else _read(told.replies[0], service.ServiceMessages, failure)
        return RequestAnswer(encode(form.workspace_messages(messages)))

    async def _consume(self, request: Request) -> RequestAnswer:
        params = _decode(request, wire.ConsumeResetCreditParams, b"null")
        failure = "failed to consume rate limit reset"
        body = {"redeem_request_id": params.idempotency_key}
        if params.credit_id is not None:
            body["credit_id"] = params.credit_id
        call = AccountCall(route="rate-limit-reset-credits/consume", body=_json(body))
        told = await self._ask([call], "for rate limit reset credits", failure)
        return RequestAnswer(encode(form.consumption(_read(told.replies[0], service.ResetConsumption, failure))))

    async def _nudge(self, request: Request) -> RequestAnswer:
        params = _decode(request, wire.SendAddCreditsNudgeEmailParams, b"null")
        failure = "failed to notify workspace owner"
        call = AccountCall(
            route="accounts/send_add_credits_nudge_email", body=_json({"credit_type": params.credit_type})
        )
        reply = (await self._ask([call], "to notify workspace owner", failure)).replies[0]
        if reply.status == TOO_MANY:
            return RequestAnswer(encode(wire.SendAddCreditsNudgeEmailResponse(status="cooldown_active")))
        if not 200 <= reply.status < 300:
            raise _refused(reply, failure)
        return RequestAnswer(encode(wire.SendAddCreditsNudgeEmailResponse(status="sent")))

    async def _security_setup(self, _: Request) -> RequestAnswer:
        """Answer without a notice in whatever way there is none, as the protocol has it."""
        try:
            told = await self._told([AccountCall(route="security-setup")])
        except JobFailedError as error:
            log.info("no notice about the security of the account: %s", error)
            return RequestAnswer(encode(form.security_notice(None, None, None)))
        found = _read_or_none(told.replies[0], service.SecuritySetup) if told.replies else None
        return RequestAnswer(encode(form.security_notice(found, told.account_id, told.user_id)))

    async def _ask(self, calls: Sequence[AccountCall], purpose: str, failure: str) -> AccountReplies:
        try:
            told = await self._told(calls)
        except JobFailedError as error:
            raise RefusedError(INTERNAL_ERROR, f"{failure}: {error}") from None
        if told.mode == "none":
            raise RefusedError(INVALID_REQUEST, f"codex account authentication required {purpose}")
        if told.mode != "chatgpt":
            raise RefusedError(INVALID_REQUEST, f"chatgpt authentication required {purpose}")
        return told

    async def _told(self, calls: Sequence[AccountCall]) -> AccountReplies:
        asked = AskAccount(calls=tuple(calls), user_agent=self._channel.user_agent)
        return msgspec.json.decode(await self._jobs.run(asked), type=AccountReplies)


P = TypeVar("P", bound=msgspec.Struct)


def _decode(request: Request, kind: type[P], absent: bytes = b"{}") -> P:
    """Decode the params; where they may be missing, null stands for that too."""
    if absent == b"{}" and request.params is not None and bytes(request.params) == b"null":
        return kind()
    return decode(request, kind, absent)


def _read(reply: AccountReply, kind: type[A], failure: str) -> A:
    """Return the body of an answer. Raises `RefusedError`."""
    if not reply.is_success:
        raise _refused(reply, failure)
    try:
        return msgspec.json.decode(reply.content, type=kind)
    except msgspec.MsgspecError as error:
        raise RefusedError(INTERNAL_ERROR, f"{failure}: {reply.request}: {error}") from None


def _read_or_none(reply: AccountReply, kind: type[A]) -> A | None:
    """Return the body of an answer that is not vital."""
    try:
        return _read(reply, kind, "failed to fetch what may be missing")
    except RefusedError as error:
        log.info("%s", error)
        return None


def _refused(reply: AccountReply, failure: str) -> RefusedError:
    return RefusedError(INTERNAL_ERROR, f"{failure}: {reply.request} failed: {reply.complaint}")


def _json(value: Mapping[str, object]) -> Raw:
    return Raw(encode(value))


def _uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise RefusedError(INVALID_REQUEST, "invalid thread id: it is no UUID") from None

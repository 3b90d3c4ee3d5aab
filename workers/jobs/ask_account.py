"""Asks the service of the user's account, with the bearer of the auth broker; a refused one is replaced once."""

from typing import Final

import msgspec
from msgspec.structs import replace

from greenroom.config.tables.account_service import account_service
from greenroom.protocol.internal.account import AccountReplies, AccountReply, AskAccount
from greenroom.protocol.internal.broker.answers import BearerSnapshot
from greenroom.workers.account.exchange import UNAUTHORIZED, AccountExchange
from greenroom.workers.job_context import Setting
from greenroom.workers.model.credentials.bearer import RECOVERED
from greenroom.workers.model.credentials.channel import CredentialError, CredentialsChannel

NO_LOGIN: Final = "signed_out"
"""What the broker answers where there is no login at all."""


async def run(params: bytes, setting: Setting) -> bytes:
    """Return `AccountReplies` as JSON. Raises `ConfigError`, or `CredentialError` where the login cannot be used."""
    asked = msgspec.json.decode(params, type=AskAccount)
    base_url = account_service(setting.home, setting.config_overrides)
    channel = setting.open_credentials()
    await channel.start()
    try:
        bearer = await channel.get_auth()
    except CredentialError as error:
        if error.error.code != NO_LOGIN:
            raise
        return msgspec.json.encode(AccountReplies(mode="none"))
    if bearer.mode != "chatgpt":
        return msgspec.json.encode(AccountReplies(mode=bearer.mode))
    async with AccountExchange(base_url, asked.user_agent) as exchange:
        replies = await _asked(exchange, asked, bearer, channel)
    return msgspec.json.encode(
        AccountReplies(mode=bearer.mode, account_id=bearer.account_id, user_id=bearer.user_id, replies=replies)
    )


async def _asked(
    exchange: AccountExchange, asked: AskAccount, bearer: BearerSnapshot, channel: CredentialsChannel
) -> tuple[AccountReply, ...]:
    replies = await exchange.send_all(asked.calls, bearer)
    refused = [place for place, reply in enumerate(replies) if reply.status == UNAUTHORIZED]
    if not refused:
        return replies
    report = await channel.report_unauthorized(bearer, UNAUTHORIZED)
    if report.outcome not in RECOVERED or report.snapshot is None:
        advice = f" ({report.user_text})" if report.user_text else ""
        return tuple(
            replace(one, complaint=one.complaint + advice) if one.status == UNAUTHORIZED else one for one in replies
        )
    again = await exchange.send_all([asked.calls[place] for place in refused], report.snapshot)
    renewed = dict(zip(refused, again, strict=True))
    return tuple(renewed.get(place, reply) for place, reply in enumerate(replies))

"""The methods through which clients read and change the credential, under old and later names.

Each request is a task of its own, so that a slow answer of the issuer delays no other request.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TypeAlias, TypeVar

from greenroom.broker import account_results as answers
from greenroom.protocol.account_api import KeyParams, LoginIdParams, LoginParams, StatusParams
from greenroom.protocol.internal.broker.broadcasts import AuthChanged, Broadcast, LoginComplete
from greenroom.protocol.jsonrpc import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    Request,
    encode,
)
from greenroom.supervisor.frontend.client_channel import ClientChannel
from greenroom.supervisor.frontend.request_params import RefusedError, decode
from greenroom.supervisor.frontend.request_queue import AnswerMethod, RequestAnswer, RequestQueue
from greenroom.supervisor.processes.broker_client import BrokerClient, BrokerError

AccountAnswer: TypeAlias = tuple[answers.ResultMembers, list[answers.AccountNotification]]
"""A result, and the notifications that are sent after it."""
T = TypeVar("T")


class AccountMethods:
    """The credential's methods on one connection."""

    def __init__(
        self,
        channel: ClientChannel,
        requests: RequestQueue,
        link: BrokerClient,
        preferred: str,
        requires_openai_auth: Callable[[], bool | None],
    ) -> None:
        self._channel = channel
        self._link = link
        self._preferred = preferred
        self._requires_openai_auth = requires_openai_auth
        methods: Mapping[str, Callable[[Request], Awaitable[AccountAnswer]]] = {
            "getAuthStatus": self._get_auth_status,
            "loginChatGpt": self._login_chatgpt,
            "cancelLoginChatGpt": self._cancel_login,
            "loginApiKey": self._login_api_key,
            "logoutChatGpt": self._logout,
            "account/read": self._account_read,
            "account/login/start": self._account_login_start,
            "account/login/cancel": self._account_login_cancel,
            "account/logout": self._logout,
        }
        served = {name: self._served(method) for name, method in methods.items()}
        self.handlers = requests.handlers(served)

    def receive(self, broadcast: Broadcast) -> None:
        """Notify the client of a change that it did not request."""
        match broadcast:
            case LoginComplete():
                self._notify(answers.after_login(broadcast))
            case AuthChanged():
                self._notify(answers.after_change(broadcast))
            case _:
                pass

    def _served(self, method: Callable[[Request], Awaitable[AccountAnswer]]) -> AnswerMethod:
        async def answer(request: Request) -> RequestAnswer:
            try:
                result, notifications = await method(request)
            except BrokerError as error:
                raise RefusedError(*_refusal(request.method, error)) from None
            return RequestAnswer(encode(result), partial(self._notify, notifications))

        return answer

    def _notify(self, notifications: list[answers.AccountNotification]) -> None:
        for notification in notifications:
            self._channel.notify(notification.method, notification.params)

    async def _get_auth_status(self, request: Request) -> AccountAnswer:
        params = _decode(request, StatusParams)
        status = await self._link.status(include_token=bool(params.include_token), refresh=bool(params.refresh_token))
        required = await asyncio.to_thread(self._requires_openai_auth)
        return answers.auth_status(status, self._preferred, requires_openai_auth=required), []

    async def _account_read(self, request: Request) -> AccountAnswer:
        params = _decode(request, StatusParams)
        status = await self._link.status(refresh=bool(params.refresh_token))
        required = await asyncio.to_thread(self._requires_openai_auth)
        return answers.account(status, requires_openai_auth=required is not False), []

    async def _login_chatgpt(self, _: Request) -> AccountAnswer:
        return answers.login_started(await self._link.login_start()), []

    async def _account_login_start(self, request: Request) -> AccountAnswer:
        params = _decode(request, LoginParams)
        match params.type:
            case "apiKey" if params.api_key is not None:
                in_force = await self._link.login_api_key(params.api_key)
                return {"type": "apiKey"}, answers.after_request(in_force)
            case "chatgpt":
                return answers.account_login_started(await self._link.login_start()), []
            case "chatgptDeviceCode":
                return answers.account_login_started(await self._link.login_start("device")), []
        raise RefusedError(
            INVALID_PARAMS, "invalid params: `type` is one of `apiKey` (with `apiKey`), `chatgpt`, `chatgptDeviceCode`"
        )

    async def _cancel_login(self, request: Request) -> AccountAnswer:
        login_id = str(_decode(request, LoginIdParams).login_id)
        if not await self._link.login_cancel(login_id):
            raise RefusedError(INVALID_REQUEST, f"login id not found: {login_id}")
        return {}, []

    async def _account_login_cancel(self, request: Request) -> AccountAnswer:
        found = await self._link.login_cancel(str(_decode(request, LoginIdParams).login_id))
        return {"status": "canceled" if found else "notFound"}, []

    async def _login_api_key(self, request: Request) -> AccountAnswer:
        in_force = await self._link.login_api_key(_decode(request, KeyParams).api_key)
        return {}, answers.after_request(in_force)

    async def _logout(self, _: Request) -> AccountAnswer:
        in_force = await self._link.logout()
        return {}, answers.after_request(in_force)


_FAILURES = {
    "loginChatGpt": "failed to start login server",
    "account/login/start": "failed to start login",
    "loginApiKey": "failed to save api key",
    "logoutChatGpt": "logout failed",
    "account/logout": "logout failed",
}


def _refusal(method: str, error: BrokerError) -> tuple[int, str]:
    """Return code and text of the error for a request that the broker refused or could not carry out."""
    if error.error.code == "login_disabled":
        return INVALID_REQUEST, str(error)
    return INTERNAL_ERROR, f"{_FAILURES.get(method, method + ' failed')}: {error}"


def _decode(request: Request, kind: type[T]) -> T:
    """Decode the params, absent ones as empty. The text of an error does not repeat them: they may contain a key."""
    return decode(request, kind, b"{}", quotes=False)

"""`greenroom login`, `login status` and `logout`: work on the store itself, without a server.

Each function returns the exit status. Messages for the user go to standard error; a key is read from standard input and
never accepted as an argument.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TextIO

from greenroom.broker.clock import Clock
from greenroom.broker.credential.credential import resolve_credential
from greenroom.broker.credential.record import AuthRecord, StoreError
from greenroom.broker.credential.rules import ANY_LOGIN, LoginRules
from greenroom.broker.login.flows import BrowserFlow, DeviceFlow
from greenroom.broker.login.logins import Flow, LoggedIn, record_of
from greenroom.broker.login.revocation import revoke_login
from greenroom.broker.login.server import PORTS
from greenroom.broker.storage.locks import STORE, STORE_TIMEOUT, locked
from greenroom.broker.storage.store import Store
from greenroom.broker.token_issuer.client import Issuer
from greenroom.broker.token_issuer.endpoints import IssuerEndpoints
from greenroom.protocol.choices import PreferredAuth
from greenroom.protocol.internal.broker.body import AuthMode
from greenroom.supervisor.cli.login_attempt import attempt, tell

BROWSER_TIMEOUT: Final = 900.0
"""Seconds that the user has to finish a login in the browser."""
_LONGEST_MASKED: Final = 13
_COMPLAINT: Final = "Error logging in"


def login_with_browser(
    store: Store,
    environment: Mapping[str, str],
    rules: LoginRules = ANY_LOGIN,
    *,
    open_url: Callable[[str], object] | None = None,
    ports: Sequence[int] = PORTS,
) -> int:
    """Log in with an account, in a browser on this machine, which comes back to the first of `ports` that is free.

    `open_url` opens the browser; the address is shown in any case.
    """
    if _is_refused(rules, "chatgpt"):
        return 1

    async def begin(issuer: Issuer) -> Flow:
        flow = await BrowserFlow.open(issuer, ports, rules)
        tell(f"Starting local login server on http://localhost:{flow.port}.")
        tell(f"Open this address if no browser opens by itself:\n\n{flow.url}\n")
        if open_url is not None:
            await asyncio.to_thread(open_url, flow.url)
        return flow

    return attempt(_login(store, environment, begin, BROWSER_TIMEOUT), _COMPLAINT)


def login_with_device_code(store: Store, environment: Mapping[str, str], rules: LoginRules = ANY_LOGIN) -> int:
    """Log in with an account, by a code that is entered on any machine."""
    if _is_refused(rules, "chatgpt"):
        return 1

    async def begin(issuer: Issuer) -> Flow:
        flow = await DeviceFlow.open(issuer, rules)
        tell(f"Open {flow.url} and enter this code within 15 minutes:\n\n   {flow.user_code}\n")
        tell("Never give the code to anybody who asks you for it.")
        return flow

    return attempt(_login(store, environment, begin, DeviceFlow.timeout_s), _COMPLAINT)


def login_with_api_key(store: Store, source: TextIO, rules: LoginRules = ANY_LOGIN) -> int:
    """Log in with the API key that `source`, usually standard input, holds."""
    if _is_refused(rules, "apikey"):
        return 1
    key = source.read().strip()
    if not key:
        tell("There is no API key on standard input.")
        return 1
    return attempt(_save(store, lambda found: AuthRecord.of_key(key, found)), _COMPLAINT)


def login_status(
    store: Store, environment: Mapping[str, str], rules: LoginRules = ANY_LOGIN, preferred: PreferredAuth = "chatgpt"
) -> int:
    """Print how this home is logged in; return 0 where it is."""
    try:
        credential = rules.applied(resolve_credential(store.read_once(), environment, preferred))
    except StoreError as error:
        tell(f"Error checking login status: {error}")
        return 1
    if not credential.bearer:
        tell("Not logged in" if credential.unusable is None else f"Not logged in: {credential.unusable}")
        return 1
    if credential.mode == "chatgpt":
        tell("Logged in using ChatGPT")
        return 0
    key = credential.bearer.reveal()
    tell(f"Logged in using an API key - {masked(key)}")
    if key == environment.get("OPENAI_API_KEY", "").strip():
        tell("   API loaded from OPENAI_API_KEY environment variable or .env file")
    return 0


def logout(store: Store, environment: Mapping[str, str], *, with_revocation: bool = False) -> int:
    """Remove the store."""

    async def run() -> int:
        held = resolve_credential(_read(store), {}, "chatgpt")
        async with locked(store.home, STORE, STORE_TIMEOUT):
            removed = store.remove()
        if removed and with_revocation:
            await revoke_login(Issuer(IssuerEndpoints.from_environment(environment), Clock()), held)
        tell("Successfully logged out" if removed else "Not logged in")
        return 0

    return attempt(run(), "Error logging out")


def masked(key: str) -> str:
    """Return the part of a key that may be shown."""
    return "***" if len(key.encode()) <= _LONGEST_MASKED else f"{key[:8]}***{key[-5:]}"


def _is_refused(rules: LoginRules, mode: AuthMode) -> bool:
    objection = rules.against_mode(mode)
    if objection is not None:
        tell(f"Error logging in: {objection}")
    return objection is not None


async def _login(
    store: Store, environment: Mapping[str, str], begin: Callable[[Issuer], Awaitable[Flow]], timeout_s: float
) -> int:
    clock = Clock()
    flow = await begin(Issuer(IssuerEndpoints.from_environment(environment), clock))

    async def save(logged_in: LoggedIn) -> None:
        await _write(store, lambda found: record_of(logged_in, clock.wall(), found))

    try:
        async with asyncio.timeout(timeout_s):
            await flow.run(save)
    finally:
        await flow.close()
    tell("Successfully logged in")
    return 0


async def _save(store: Store, make: Callable[[AuthRecord | None], AuthRecord]) -> int:
    await _write(store, make)
    tell("Successfully logged in")
    return 0


async def _write(store: Store, make: Callable[[AuthRecord | None], AuthRecord]) -> None:
    os.makedirs(store.home, mode=0o700, exist_ok=True)
    async with locked(store.home, STORE, STORE_TIMEOUT):
        store.replace(make(_read(store)))


def _read(store: Store) -> AuthRecord | None:
    try:
        return store.read_once()
    except StoreError:
        return None

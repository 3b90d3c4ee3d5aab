"""`greenroom login`, `login status` and `logout`: work on the store itself, without a server.

Each function returns the exit status. Messages for the user go to standard error; a key is read from standard input and
never accepted as an argument.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
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
from greenroom.protocol.errors import GreenroomError
from greenroom.protocol.internal.broker.body import AuthMode
from greenroom.runtime.search_path import absolute_path

BROWSER_TIMEOUT: Final = 900.0
"""Seconds that the user has to finish a login in the browser."""
_LONGEST_MASKED: Final = 13


def login_with_browser(
    store: Store,
    environment: Mapping[str, str],
    rules: LoginRules = ANY_LOGIN,
    *,
    open_browser: bool = True,
    ports: Sequence[int] = PORTS,
) -> int:
    """Log in with an account, in a browser on this machine, which comes back to the first of `ports` that is free."""
    if _is_refused(rules, "chatgpt"):
        return 1

    async def begin(issuer: Issuer) -> Flow:
        flow = await BrowserFlow.open(issuer, ports, rules)
        _print(f"Starting local login server on http://localhost:{flow.port}.")
        _print(f"Open this address if no browser opens by itself:\n\n{flow.url}\n")
        if open_browser:
            await asyncio.to_thread(_open_browser, flow.url)
        return flow

    return _run(_login(store, environment, begin, BROWSER_TIMEOUT))


def login_with_device_code(store: Store, environment: Mapping[str, str], rules: LoginRules = ANY_LOGIN) -> int:
    """Log in with an account, by a code that is entered on any machine."""
    if _is_refused(rules, "chatgpt"):
        return 1

    async def begin(issuer: Issuer) -> Flow:
        flow = await DeviceFlow.open(issuer, rules)
        _print(f"Open {flow.url} and enter this code within 15 minutes:\n\n   {flow.user_code}\n")
        _print("Never give the code to anybody who asks you for it.")
        return flow

    return _run(_login(store, environment, begin, DeviceFlow.timeout_s))


def login_with_api_key(store: Store, source: TextIO, rules: LoginRules = ANY_LOGIN) -> int:
    """Log in with the API key that `source`, usually standard input, holds."""
    if _is_refused(rules, "apikey"):
        return 1
    key = source.read().strip()
    if not key:
        _print("There is no API key on standard input.")
        return 1
    return _run(_save(store, lambda found: AuthRecord.of_key(key, found)))


def login_status(
    store: Store, environment: Mapping[str, str], rules: LoginRules = ANY_LOGIN, preferred: PreferredAuth = "chatgpt"
) -> int:
    """Print how this home is logged in; return 0 where it is."""
    try:
        credential = rules.applied(resolve_credential(store.read_once(), environment, preferred))
    except StoreError as error:
        _print(f"Error checking login status: {error}")
        return 1
    if not credential.bearer:
        _print("Not logged in" if credential.unusable is None else f"Not logged in: {credential.unusable}")
        return 1
    if credential.mode == "chatgpt":
        _print("Logged in using ChatGPT")
        return 0
    key = credential.bearer.reveal()
    _print(f"Logged in using an API key - {masked(key)}")
    if key == environment.get("OPENAI_API_KEY", "").strip():
        _print("   API loaded from OPENAI_API_KEY environment variable or .env file")
    return 0


def logout(store: Store, environment: Mapping[str, str], *, with_revocation: bool = False) -> int:
    """Remove the store."""

    async def run() -> int:
        held = resolve_credential(_read(store), {}, "chatgpt")
        async with locked(store.home, STORE, STORE_TIMEOUT):
            removed = store.remove()
        if removed and with_revocation:
            await revoke_login(Issuer(IssuerEndpoints.from_environment(environment), Clock()), held)
        _print("Successfully logged out" if removed else "Not logged in")
        return 0

    return _run(run(), "Error logging out")


def masked(key: str) -> str:
    """Return the part of a key that may be shown."""
    return "***" if len(key.encode()) <= _LONGEST_MASKED else f"{key[:8]}***{key[-5:]}"


def _is_refused(rules: LoginRules, mode: AuthMode) -> bool:
    objection = rules.against_mode(mode)
    if objection is not None:
        _print(f"Error logging in: {objection}")
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
    _print("Successfully logged in")
    return 0


async def _save(store: Store, make: Callable[[AuthRecord | None], AuthRecord]) -> int:
    await _write(store, make)
    _print("Successfully logged in")
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


def _run(work: Coroutine[None, None, int], complaint: str = "Error logging in") -> int:
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        return 130
    except TimeoutError as error:
        _print(f"{complaint}: {error or 'timed out'}")
    except OSError as error:
        _print(f"{complaint}: {error.strerror}")
    except GreenroomError as error:
        _print(f"{complaint}: {error}")
    return 1


def _open_browser(url: str) -> None:
    import webbrowser

    os.environ["PATH"] = absolute_path(
        os.environ.get("PATH")
    )  # the working directory may be a workspace, whose files the model writes
    webbrowser.open(url)


def _print(text: str) -> None:
    sys.stderr.write(f"{text}\n")

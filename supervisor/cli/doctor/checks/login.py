"""The check of the login: which credential is in force, how long it lasts, and whether it can be renewed."""

import os
from typing import Final

from greenroom.broker.credential.credential import ENVIRONMENT_KEYS, Credential, resolve_credential
from greenroom.broker.credential.record import StoreError
from greenroom.broker.credential.rules import LoginRules
from greenroom.broker.storage.keyring_entry import VaultError
from greenroom.broker.storage.store import open_store
from greenroom.config.settings import Settings
from greenroom.config.tables.greenroom import CredentialSettings, credential_settings
from greenroom.protocol.display import clean
from greenroom.runtime.threads.daemon_thread import in_thread
from greenroom.supervisor.cli.doctor.check_context import CheckContext, settings_of
from greenroom.supervisor.cli.doctor.finding import Detail, Finding
from greenroom.supervisor.cli.status.formatting import age

LOG_IN: Final = "Run `greenroom login`, or set OPENAI_API_KEY."
LOG_IN_AGAIN: Final = "Run `greenroom login` again."
SOON: Final = 600.0
"""Seconds before its end from which on a token that cannot be renewed is a warning."""


async def credentials(context: CheckContext) -> Finding:
    """Find the credential that model requests would carry. Nothing is renewed, and no secret is shown."""
    settings = await context.shared(settings_of)
    configured = await in_thread(lambda: credential_settings(context.home))
    if configured.cli_auth_credentials_store == "ephemeral":
        return Finding("ok", "each server keeps its own login, in memory", {"store": "ephemeral"})
    try:
        credential = await context.shared(credential_of)
    except (StoreError, VaultError) as error:
        details = _details(configured)
        return Finding("fail", str(error), details, _remedy_of_store(configured, str(error)))
    return _judged(credential, configured, settings, context)


async def credential_of(context: CheckContext) -> Credential:
    """Return the credential in force. Raises `StoreError`, `VaultError` or `ConfigError`."""

    def read() -> Credential:
        configured = credential_settings(context.home)
        rules = LoginRules(configured.forced_login_method, configured.forced_chatgpt_workspace_id)
        kind = configured.cli_auth_credentials_store
        record = None if kind == "ephemeral" else open_store(context.home, kind).read_once()
        return rules.applied(resolve_credential(record, context.environment, configured.preferred_auth_method))

    return await in_thread(read)


def _judged(
    credential: Credential, configured: CredentialSettings, settings: Settings, context: CheckContext
) -> Finding:
    details = _details(configured)
    if credential.unusable is not None:
        return Finding("fail", credential.unusable, details, "Log in as it is allowed: `greenroom login`.")
    if not credential.bearer:
        return _without_login(settings, details)
    if credential.mode == "apikey":
        details["source"] = _source_of_key(credential, context)
        return Finding("ok", f"an API key from {details['source']}", details)
    return _of_account(credential, details, context)


def _without_login(settings: Settings, details: dict[str, Detail]) -> Finding:
    provider = settings.provider
    if not provider.requires_openai_auth or provider.env_key or provider.experimental_bearer_token or provider.auth:
        return Finding("ok", f"no login, and the provider `{settings.provider_id}` needs none", details)
    return Finding("fail", f"not logged in, and the provider `{settings.provider_id}` needs a login", details, LOG_IN)


def _of_account(credential: Credential, details: dict[str, Detail], context: CheckContext) -> Finding:
    now = context.machine.now()
    details["account"] = clean(credential.plan_type or "of an unknown plan")
    details["refresh"] = "possible" if credential.refresh_token else "not possible, there is no refresh token"
    if credential.refreshed_at is not None:
        details["last refresh"] = f"{age(now - credential.refreshed_at)} ago"
    if credential.expires_at is None:
        return Finding("ok", "logged in with ChatGPT; the token does not say how long it lasts", details)
    left = credential.expires_at - now
    details["expires"] = f"in {age(left)}" if left > 0 else f"{age(-left)} ago"
    if credential.refresh_token:
        if left > 0:
            return Finding("ok", f"logged in with ChatGPT for {age(left)}, renewed before that", details)
        text = f"the access token expired {age(-left)} ago; the next request renews it"
        return Finding("warning", text, details, f"If the next call fails: {LOG_IN_AGAIN}")
    if left <= 0:
        return Finding("fail", f"the login expired {age(-left)} ago and cannot be renewed", details, LOG_IN_AGAIN)
    status = f"logged in with ChatGPT for {age(left)}, and cannot be renewed"
    return Finding("warning" if left < SOON else "ok", status, details, LOG_IN_AGAIN)


def _details(configured: CredentialSettings) -> dict[str, Detail]:
    details: dict[str, Detail] = {"store": configured.cli_auth_credentials_store}
    if configured.forced_login_method is not None:
        details["forced_login_method"] = configured.forced_login_method
    return details


def _source_of_key(credential: Credential, context: CheckContext) -> str:
    if credential.source == "store":
        return "the store of the home"
    return f"the variable {next(name for name in ENVIRONMENT_KEYS if context.environment.get(name, '').strip())}"


def _remedy_of_store(configured: CredentialSettings, fault: str) -> str:
    if configured.cli_auth_credentials_store in ("keyring", "auto") and "keyring" in fault:
        return 'Unlock the keyring, or set `cli_auth_credentials_store = "file"` and log in again.'
    return f"Make {os.path.join('$CODEX_HOME', 'auth.json')} readable and valid, or remove it. {LOG_IN_AGAIN}"

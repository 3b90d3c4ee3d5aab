"""Checks of the model providers: reachable, accepts the credential, knows the model. One request for each provider."""

import asyncio
import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from msgspec.structs import asdict

from greenroom.broker.clock import Clock
from greenroom.broker.credential.record import StoreError
from greenroom.broker.storage.keyring_entry import VaultError
from greenroom.broker.token_commands import TokenCommands
from greenroom.config.document import Table
from greenroom.config.settings import DEFAULT_PROVIDER, Settings
from greenroom.config.tables.providers import LOCAL_PROVIDERS, ModelProvider, find_provider
from greenroom.protocol.errors import ConfigError
from greenroom.protocol.internal.broker.answers import AuthError
from greenroom.protocol.internal.broker.questions import GetProviderToken, TokenCommand
from greenroom.protocol.version import __version__
from greenroom.runtime.originator import originator
from greenroom.runtime.user_agent import user_agent
from greenroom.supervisor.cli.doctor.check_context import CheckContext, settings_of, table_of
from greenroom.supervisor.cli.doctor.checks.login import credential_of
from greenroom.supervisor.cli.doctor.finding import Detail, Finding, Problem, combined_finding
from greenroom.workers.model.credentials.credential import Bearer
from greenroom.workers.model.model_list import ModelListAnswer, ModelListed, NotListed, list_models
from greenroom.workers.model.transport.endpoint import ModelEndpoint, visible_url

MOST: Final = 16
"""Providers that are asked; more are only named."""
NO_BEARER: Final = Bearer(None, mode="none")
PROXY_REFUSES: Final = 407
REJECTED: Final = frozenset({401, 403})


@dataclass(frozen=True, slots=True)
class AskedProvider:
    """One configured provider, and what came of asking it."""

    id: str
    is_chosen: bool
    """Whether conversations use it unless they say otherwise."""
    provider: ModelProvider
    url: str
    """For people."""
    answer: ModelListAnswer
    credential: str
    """What the request carried, in words; empty where that is nothing."""
    missing: str = ""
    """Why it carried no credential although the provider wants one."""
    remedy: str = ""
    """What to do about that."""

    @property
    def severity(self) -> Literal["warning", "fail"]:
        """How bad it is if this provider cannot be used."""
        return "fail" if self.is_chosen else "warning"


@dataclass(frozen=True, slots=True)
class _Credential:
    bearer: Bearer = NO_BEARER
    words: str = ""
    missing: str = ""
    remedy: str = ""


async def reachability(context: CheckContext) -> Finding:
    """Tell which providers answer at all."""
    asked = await context.shared(ask_providers)
    problems = [problem for one in asked if (problem := _unreached(one)) is not None]
    details: dict[str, Detail] = {one.id: f"{one.url}: {_outcome(one.answer)}" for one in asked}
    return combined_finding(problems, f"{_all(asked)} answers" if len(asked) == 1 else f"{_all(asked)} answer", details)


async def authentication(context: CheckContext) -> Finding:
    """Tell which providers accept the credential that requests to them carry."""
    asked = await context.shared(ask_providers)
    problems = [problem for one in asked if (problem := _unaccepted(one)) is not None]
    details: dict[str, Detail] = {one.id: _acceptance(one) for one in asked}
    return combined_finding(problems, "no provider rejects its credential", details)


async def model(context: CheckContext) -> Finding:
    """Tell whether the chosen provider lists the chosen model."""
    settings = await context.shared(settings_of)
    asked = await context.shared(ask_providers)
    chosen = next(one for one in asked if one.is_chosen)
    details: dict[str, Detail] = {"model": settings.model, "provider": chosen.id}
    if not settings.model_family.known:
        details["properties"] = "unknown; describe the model in `[greenroom.models]` if the defaults do not fit"
    listed = chosen.answer.models if isinstance(chosen.answer, ModelListed) else None
    if listed is None:
        return Finding("ok", f"`{chosen.id}` does not tell which models it has; `{settings.model}` is taken", details)
    if settings.model in listed:
        return Finding("ok", f"`{chosen.id}` has `{settings.model}`", details)
    near = difflib.get_close_matches(settings.model, listed, n=3, cutoff=0.5)
    details["models"] = near or list(listed[:20])
    hint = f"such as `{near[0]}`" if near else "one that it lists"
    remedy = f"Set `model` in config.toml to a model of this server, {hint}, or choose another `model_provider`."
    return Finding("warning", f"`{chosen.id}` does not list the model `{settings.model}`", details, remedy)


async def ask_providers(context: CheckContext) -> list[AskedProvider]:
    """Ask every configured provider for its models, all at once. Raises `ConfigError`."""
    settings = await context.shared(settings_of)
    table = await context.shared(table_of)
    others = _others(table, settings, context.environment)
    providers = {settings.provider_id: settings.provider, **others}
    asking = (_ask(name, provider, settings, context) for name, provider in list(providers.items())[:MOST])
    return await asyncio.gather(*asking)


def _others(table: Table, settings: Settings, environment: Mapping[str, str]) -> dict[str, ModelProvider]:
    """Return the providers of the file besides the chosen one; those that cannot be used are left out."""
    tables = table.get("model_providers")
    tables = tables if isinstance(tables, dict) else {}
    found: dict[str, ModelProvider] = {}
    for name in tables:
        if name != settings.provider_id:
            try:
                found[name] = find_provider(name, tables, environment)
            except ConfigError:
                continue  # `config.load` tells
    return found


async def _ask(name: str, provider: ModelProvider, settings: Settings, context: CheckContext) -> AskedProvider:
    credential = await _credential(provider, context)
    endpoint = _endpoint(provider, credential.bearer, context.environment)
    answer = await list_models(endpoint, credential.bearer, context.patience.provider)
    return AskedProvider(
        name,
        name == settings.provider_id,
        provider,
        visible_url(provider.base(chatgpt=credential.bearer.is_chatgpt)),
        answer,
        credential.words,
        credential.missing,
        credential.remedy,
    )


def _endpoint(provider: ModelProvider, bearer: Bearer, environment: Mapping[str, str]) -> ModelEndpoint:
    _, mark, query = provider.url(chatgpt=bearer.is_chatgpt).partition("?")
    if bearer.is_chatgpt and not query:
        mark, query = "?", f"client_version={__version__}"
    variables = {header: environment.get(name, "").strip() for header, name in provider.env_http_headers.items()}
    return ModelEndpoint(
        url=f"{provider.base(chatgpt=bearer.is_chatgpt)}/models{mark}{query}",
        headers={**provider.http_headers, **{header: value for header, value in variables.items() if value}},
        wire_api=provider.wire_api,
        originator=originator(environment),
        user_agent=user_agent(__version__, environment),
    )


async def _credential(provider: ModelProvider, context: CheckContext) -> _Credential:
    """Return what a request carries, by the same order as in `greenroom.workers.model.credentials.bearer`. Renews
    nothing."""
    variable = provider.env_key
    if variable is not None:
        if key := context.environment.get(variable, "").strip():
            return _Credential(Bearer(key), f"the key in {variable}")
        if not provider.requires_openai_auth:
            remedy = provider.env_key_instructions or f"Set {variable} in the environment of the server, or in `.env`."
            return _Credential(missing=f"the variable {variable}, which should hold its key, is not set", remedy=remedy)
    if provider.experimental_bearer_token is not None:
        return _Credential(Bearer(provider.experimental_bearer_token), "`experimental_bearer_token`")
    if provider.auth is not None:
        return await _printed(TokenCommand(**asdict(provider.auth)), context)
    return await _of_login(context) if provider.requires_openai_auth else _Credential()


async def _printed(command: TokenCommand, context: CheckContext) -> _Credential:
    commands = TokenCommands(context.home, context.environment, Clock())
    limit = min(command.timeout_ms, round(context.patience.provider * 1000))
    bounded = TokenCommand(command=command.command, args=command.args, cwd=command.cwd, timeout_ms=limit)
    try:
        answer = await commands.get(GetProviderToken(command=bounded))
    finally:
        await commands.close()
    name = os.path.basename(command.command)
    if isinstance(answer, AuthError):
        remedy = f"Run `{name}` by hand, and correct the table `auth` of the provider."
        return _Credential(missing=answer.user_text or f"`{name}` printed no token", remedy=remedy)
    return _Credential(Bearer(answer.token), f"the token that `{name}` prints")


async def _of_login(context: CheckContext) -> _Credential:
    remedy = "See the check auth.credentials."
    try:
        credential = await context.shared(credential_of)
    except (StoreError, VaultError) as error:
        return _Credential(missing=str(error), remedy=remedy)
    if not credential.bearer:
        return _Credential(missing=credential.unusable or "there is no login", remedy=remedy)
    if credential.expires_at is not None and credential.expires_at <= context.machine.now():
        return _Credential(missing="the access token has expired, and nothing is renewed by a check", remedy=remedy)
    bearer = Bearer(credential.bearer.reveal(), account_id=credential.identity.account_id, mode=credential.mode)
    return _Credential(bearer, "the ChatGPT login" if credential.mode == "chatgpt" else "the API key")


def _unreached(one: AskedProvider) -> Problem | None:
    answer = one.answer
    if isinstance(answer, NotListed):
        return Problem(one.severity, f"`{one.id}` does not answer at {one.url}: {answer.cause}", _remedy(one, answer))
    if answer.status == PROXY_REFUSES:
        remedy = "Put the user and password of the proxy into the variable that names it."
        return Problem(one.severity, f"the proxy on the way to `{one.id}` refuses (status 407)", remedy)
    if answer.status >= 500:
        text = f"`{one.id}` answers with status {answer.status}: {answer.complaint or 'no reason was given'}"
        return Problem("warning", text, "Try again later, or look at the status page of the provider.")
    return None


def _remedy(one: AskedProvider, answer: NotListed) -> str:
    if answer.untrusted:
        return (
            "Name a file with the certificate of its authority in SSL_CERT_FILE, or correct the clock. "
            "Certificates are never left unchecked."
        )
    if answer.by_proxy:
        return "Check the proxy that HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names, or list the host in NO_PROXY."
    if one.id in LOCAL_PROVIDERS:
        return "Start the local model server (`ollama serve`, LM Studio), or set CODEX_OSS_BASE_URL."
    if one.id == DEFAULT_PROVIDER:
        return "Check the network, and OPENAI_BASE_URL and `openai_base_url` if they are set."
    return f"Check the network and `base_url` of `[model_providers.{one.id}]`."


def _unaccepted(one: AskedProvider) -> Problem | None:
    if one.missing:
        return Problem(one.severity, f"`{one.id}`: {one.missing}", one.remedy)
    answer = one.answer
    if not isinstance(answer, ModelListed) or answer.status not in REJECTED:
        return None
    said = f": {answer.complaint}" if answer.complaint else ""
    if not one.credential:
        remedy = f"Give `[model_providers.{one.id}]` an `env_key`, `auth` or `requires_openai_auth`."
        return Problem(one.severity, f"`{one.id}` wants a credential, and none is configured{said}", remedy)
    reason = "rejects" if answer.status == 401 else "refuses the rights of"
    remedy = (
        f"Replace {one.credential}: `greenroom login`, a new key, or another `env_key`."
        if answer.status == 401
        else f"Give {one.credential} access to this project and its models, or use another one."
    )
    return Problem(one.severity, f"`{one.id}` {reason} {one.credential} (status {answer.status}){said}", remedy)


def _acceptance(one: AskedProvider) -> str:
    carried = one.credential or "no credential"
    if isinstance(one.answer, NotListed):
        return f"{carried}; it was not reached"
    if 200 <= one.answer.status < 300:
        return f"{carried}; accepted"
    return f"{carried}; status {one.answer.status} for the list of models"


def _outcome(answer: ModelListAnswer) -> str:
    way = ", through a proxy" if answer.by_proxy else ""
    if isinstance(answer, NotListed):
        return f"{answer.cause}{way}"
    return f"status {answer.status} after {answer.seconds * 1000:.0f} ms{way}"


def _all(asked: Iterable[AskedProvider]) -> str:
    return ", ".join(f"`{one.id}`" for one in asked)

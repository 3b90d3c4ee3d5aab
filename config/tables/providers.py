"""Model providers: the built-in ones, those of `model_providers`, and how their URLs are built."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import ClassVar, Final, Literal, TypeAlias
from urllib.parse import quote, urlencode

from msgspec import field

from greenroom.config.document import Table
from greenroom.config.section import Count, Section, Size, Strings, check
from greenroom.protocol.errors import ConfigError

WireApi: TypeAlias = Literal["responses", "chat"]

OPENAI_URL: Final = "https://api.openai.com/v1"
CHATGPT_URL: Final = "https://chatgpt.com/backend-api/codex"

LOCAL_PROVIDERS: Final = frozenset({"oss", "ollama", "lmstudio"})
"""Built-in providers for servers on this machine."""

MAX_RETRIES: Final = 100
"""The maximum number of retries; greater numbers are reduced to it."""

_PATHS: Final[Mapping[WireApi, str]] = {"responses": "/responses", "chat": "/chat/completions"}
_RETRIES: Final = ("request_max_retries", "stream_max_retries")
_RIVALS: Final = ("env_key", "experimental_bearer_token", "requires_openai_auth")
"""Other sources of a credential, which exclude a command."""


class ProviderTokenCommand(Section, frozen=True):
    """The table `auth` of a provider: a program that prints an access token."""

    command: str
    args: Strings = ()
    cwd: str | None = None
    """Its working directory; by default the Codex home."""
    timeout_ms: Size = 5_000
    refresh_interval_ms: Count = 300_000
    """How long a token is kept; 0 = until the server rejects it."""


class ModelProvider(Section, frozen=True):
    """One table of `model_providers`.

    `wire_api` defaults to `responses`, the only one in later releases of the reference. Releases of August 2025
    defaulted to `chat`; a table written for them that means Chat Completions has to say `wire_api = "chat"`.
    """

    withheld: ClassVar[frozenset[str]] = frozenset({"experimental_bearer_token", "http_headers", "query_params"})

    name: str = ""
    base_url: str | None = None
    env_key: str | None = None
    """The variable that holds the API key."""
    env_key_instructions: str | None = None
    """Shown to the user if that variable is missing."""
    experimental_bearer_token: str | None = None
    auth: ProviderTokenCommand | None = None
    requires_openai_auth: bool = False
    """Whether requests carry the OpenAI login."""
    wire_api: WireApi = "responses"
    query_params: dict[str, str] = field(default_factory=dict)
    http_headers: dict[str, str] = field(default_factory=dict)
    env_http_headers: dict[str, str] = field(default_factory=dict)
    """Header → variable that holds its value."""
    request_max_retries: Count = 4
    stream_max_retries: Count = 5
    stream_idle_timeout_ms: Size = 300_000

    @classmethod
    def plain(cls, table: Table) -> Table:
        retries = {key: value for key in _RETRIES if isinstance(value := table.get(key), int)}
        return {**table, **{key: min(value, MAX_RETRIES) for key, value in retries.items()}}

    def __post_init__(self) -> None:
        rival = next((key for key in _RIVALS if getattr(self, key)), None)
        if self.auth is not None and rival is not None:
            raise ValueError(f"provider auth cannot be combined with `{rival}`")

    @property
    def credential_variables(self) -> frozenset[str]:
        """Variables whose values are sent to the provider, and so are withheld from everything else."""
        names = {self.env_key, *self.env_http_headers.values()}
        return frozenset(name for name in names if name)

    def base(self, *, chatgpt: bool) -> str:
        """Return the base of all URLs. `chatgpt`: the current credential is a ChatGPT login."""
        if self.base_url:
            return self.base_url.rstrip("/")
        return CHATGPT_URL if chatgpt and self.wire_api == "responses" else OPENAI_URL

    def url(self, *, chatgpt: bool) -> str:
        """Return the URL for the requests of a turn, with its query percent-encoded."""
        query = f"?{urlencode(self.query_params, quote_via=quote)}" if self.query_params else ""
        return self.base(chatgpt=chatgpt) + _PATHS[self.wire_api] + query


def find_provider(
    provider_id: str,
    tables: Mapping[str, Table],
    environment: Mapping[str, str],
    openai_base_url: str | None = None,
) -> ModelProvider:
    """Return the provider of an id. `tables` are those of `model_providers`, as in the file.

    A table with a built-in id is merged over the built-in provider, key by key; the reference ignores or rejects it.
    `openai_base_url` is the top-level key of that name. Raises `ConfigError`.
    """
    built_in = _built_in(environment, openai_base_url)
    if provider_id not in built_in and provider_id not in tables:
        known = ", ".join(f"`{name}`" for name in (*built_in, *(name for name in tables if name not in built_in)))
        raise ConfigError(f"Model provider `{provider_id}` not found; there are {known}")
    merged = {"name": provider_id, **built_in.get(provider_id, {}), **tables.get(provider_id, {})}
    return check(ModelProvider, merged, ("model_providers", provider_id))


def usable_providers(tables: Mapping[str, Table]) -> Iterator[ModelProvider]:
    """Yield every provider that a conversation can choose. Their URLs are those of no environment."""
    for provider_id in {**_built_in({}, None), **tables}:
        with suppress(ConfigError):  # which is told to those who choose it
            yield find_provider(provider_id, tables, {})


def _built_in(environment: Mapping[str, str], openai_base_url: str | None) -> dict[str, Table]:
    port = environment.get("CODEX_OSS_PORT", "").strip() or "11434"
    oss_url = environment.get("CODEX_OSS_BASE_URL", "").strip() or f"http://localhost:{port}/v1"
    openai_url = openai_base_url or environment.get("OPENAI_BASE_URL", "").strip() or None
    return {
        "openai": {
            "name": "OpenAI",
            "base_url": openai_url,
            "requires_openai_auth": True,
            "env_http_headers": {"OpenAI-Organization": "OPENAI_ORGANIZATION", "OpenAI-Project": "OPENAI_PROJECT"},
        },
        "oss": {"name": "gpt-oss", "base_url": oss_url, "wire_api": "chat"},
        "ollama": {"name": "Ollama", "base_url": "http://localhost:11434/v1", "wire_api": "chat"},
        "lmstudio": {"name": "LM Studio", "base_url": "http://localhost:1234/v1", "wire_api": "chat"},
    }

"""The beginning of a connection."""

from typing import Any

from greenroom.protocol.app_server.wire import Params, Result


class ClientInfo(Params, frozen=True):
    """The client's name and version."""

    name: str
    version: str
    title: str | None = None


class InitializeCapabilities(Params, frozen=True):
    """What the client can do, and what it does not want."""

    experimental_api: bool = False
    opt_out_notification_methods: list[str] | None = None
    """Methods of notifications that are not sent to it."""
    mcp_server_openai_form_elicitation: bool = False
    request_attestation: bool = False
    extensions: dict[str, Any] | None = None


class InitializeParams(Params, frozen=True):
    """Params of `initialize`."""

    client_info: ClientInfo
    capabilities: InitializeCapabilities | None = None


class InitializeResponse(Result, frozen=True):
    """Result of `initialize`."""

    user_agent: str
    codex_home: str
    platform_family: str
    platform_os: str


class Nothing(Params, frozen=True):
    """Params of methods without any."""


class Empty(Result, frozen=True):
    """A result without members."""

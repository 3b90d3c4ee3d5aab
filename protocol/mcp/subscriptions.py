"""Subscriptions of MCP 2026-07-28 (`subscriptions/listen`), and the lines of their streams.

Each line of a stream carries the id of the request that opened it. Only requested kinds of notifications are sent.
"""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import msgspec

from greenroom.protocol.jsonrpc import Request, encode

SUBSCRIPTION_KEY: Final = "io.modelcontextprotocol/subscriptionId"

List: TypeAlias = Literal["tools", "prompts", "resources"]
"""The lists that may change."""


class Filter(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Kinds of notifications, as requested by a client and as confirmed by the server."""

    tools_list_changed: bool | None = None
    prompts_list_changed: bool | None = None
    resources_list_changed: bool | None = None
    resource_subscriptions: tuple[str, ...] | None = None
    """URIs of the resources to watch."""
    task_ids: tuple[str, ...] | None = None
    """Tasks to watch (the extension `io.modelcontextprotocol/tasks`)."""

    def wants(self, changed: List) -> bool:
        """Tell whether the changes of a list are requested."""
        return {
            "tools": self.tools_list_changed,
            "prompts": self.prompts_list_changed,
            "resources": self.resources_list_changed,
        }[changed] is True


class ListenParams(msgspec.Struct, frozen=True):
    """Params of `subscriptions/listen`."""

    notifications: Filter


decode_listen: Final = msgspec.json.Decoder(ListenParams).decode


def honored(wanted: Filter, capabilities: Mapping[str, object]) -> Filter:
    """Return which of the requested kinds are sent: those that the server's capabilities include, and tasks."""

    def can(name: str, change: str = "listChanged") -> bool:
        capability = capabilities.get(name)
        return isinstance(capability, Mapping) and capability.get(change) is True

    return Filter(
        tools_list_changed=(wanted.tools_list_changed and can("tools")) or None,
        prompts_list_changed=(wanted.prompts_list_changed and can("prompts")) or None,
        resources_list_changed=(wanted.resources_list_changed and can("resources")) or None,
        resource_subscriptions=wanted.resource_subscriptions if can("resources", "subscribe") else None,
        task_ids=wanted.task_ids,
    )


def stream_line(request: Request, method: str, params: Mapping[str, object]) -> bytes:
    """Return the line of a notification on the stream that a request opened."""
    stamped = {"_meta": {SUBSCRIPTION_KEY: msgspec.Raw(request.raw_id)}, **params}
    return b'{"jsonrpc":"2.0","method":%b,"params":%b}\n' % (encode(method), encode(stamped))


def acknowledgement(request: Request, agreed: Filter) -> bytes:
    """Return the first line of a stream."""
    return stream_line(request, "notifications/subscriptions/acknowledged", {"notifications": agreed})


def closing_result(request: Request) -> bytes:
    """Return the result with which the server ends a stream."""
    return encode({"_meta": {SUBSCRIPTION_KEY: msgspec.Raw(request.raw_id)}})

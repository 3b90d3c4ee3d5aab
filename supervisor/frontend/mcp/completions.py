"""Completions of an argument of a prompt, or of a variable of a resource template."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from greenroom.config.saved_prompts import saved_prompt
from greenroom.protocol.errors import ConfigError
from greenroom.protocol.jsonrpc import INVALID_PARAMS, Request
from greenroom.protocol.mcp.resources import CompleteParams, PromptReference, TemplateReference, completion_result
from greenroom.supervisor.frontend.mcp.resources import TEMPLATES
from greenroom.supervisor.frontend.mcp.saved_conversations import SavedConversations
from greenroom.supervisor.frontend.request_params import RefusedError, decode
from greenroom.supervisor.frontend.request_queue import RequestAnswer, RequestQueue


class Completions:
    """The completions of one connection."""

    def __init__(
        self, home: str, overrides: tuple[str, ...], requests: RequestQueue, library: SavedConversations
    ) -> None:
        """`overrides` are the assignments of the command line."""
        self._home = home
        self._overrides = overrides
        self._saved = library
        self._sources: Mapping[str, Callable[[str], Awaitable[list[str]]]] = {
            "threadid": self._conversations,
            "conversationid": self._conversations,
            "sessionid": self._conversations,
            "model": self._models,
            "profile": self._profiles,
        }
        self.handlers: Mapping[str, Callable[[Request], None]] = requests.handlers(
            {"completion/complete": self._complete}
        )

    async def _complete(self, request: Request) -> RequestAnswer:
        params = decode(request, CompleteParams, b"{}")
        await self._check(params.ref)
        name = params.argument.name.replace("_", "").replace("-", "").lower()
        source = self._sources.get(name)
        return RequestAnswer(completion_result([] if source is None else await source(params.argument.value)))

    async def _check(self, reference: PromptReference | TemplateReference) -> None:
        match reference:
            case PromptReference(name) if await asyncio.to_thread(saved_prompt, self._home, name) is None:
                raise RefusedError(INVALID_PARAMS, f"Unknown prompt: {name}")
            case TemplateReference(uri) if uri not in TEMPLATES.values():
                raise RefusedError(INVALID_PARAMS, f"Unknown resource template: {uri}")

    async def _conversations(self, begun: str) -> list[str]:
        here = [one.id for one in self._saved.unsaved() if one.id.startswith(begun.lower())]
        return list(dict.fromkeys([*here, *await self._saved.beginning_with(begun)]))

    async def _models(self, begun: str) -> list[str]:
        from greenroom.config.models import catalogue

        table = await self._table()
        own = table.get("greenroom", {})
        named = own.get("models", {}) if isinstance(own, dict) else {}
        configured = [model for model in (table.get("model"),) if isinstance(model, str)]
        names = [*configured, *(named if isinstance(named, dict) else ()), *catalogue()]
        return [name for name in dict.fromkeys(names) if name.startswith(begun)]

    async def _profiles(self, begun: str) -> list[str]:
        profiles = (await self._table()).get("profiles", {})
        return sorted(name for name in profiles if name.startswith(begun)) if isinstance(profiles, dict) else []

    async def _table(self) -> Mapping[str, object]:
        """Return the present configuration; an unreadable one offers nothing."""
        from greenroom.config.layers import layered
        from greenroom.config.overrides import parse_assignment

        try:
            return await asyncio.to_thread(layered, self._home, map(parse_assignment, self._overrides))
        except ConfigError:
            return {}

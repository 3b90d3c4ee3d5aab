"""The prompts: the user's saved ones, read again for each request (`greenroom.config.saved_prompts`)."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from greenroom.config.saved_prompts import PromptArgumentError, SavedPrompt, prompts_state, saved_prompt, saved_prompts
from greenroom.protocol.jsonrpc import INVALID_PARAMS, Request
from greenroom.protocol.mcp.resources import PageParams, PromptParams, list_result, prompt_result
from greenroom.supervisor.frontend.mcp.change_notifier import ChangeNotifier
from greenroom.supervisor.frontend.mcp.protocol_version import ProtocolVersion
from greenroom.supervisor.frontend.request_params import RefusedError, decode
from greenroom.supervisor.frontend.request_queue import RequestAnswer, RequestQueue

PAGE: Final = 100
"""Prompts on one page."""
INTERVAL: Final = 2.0
"""Seconds between two checks of the directory, once a client has read the list."""


class Prompts:
    """The saved prompts for one connection."""

    def __init__(
        self,
        home: str,
        requests: RequestQueue,
        notifier: ChangeNotifier,
        era: ProtocolVersion,
        on_change: Callable[[], None],
    ) -> None:
        """`on_change` is called when prompts have changed after a client has read them."""
        self._home = home
        self._notifier = notifier
        self._era = era
        self._on_change = on_change
        self._seen: frozenset[tuple[str, int, int]] = frozenset()
        self._looking: asyncio.TimerHandle | None = None
        self.handlers: Mapping[str, Callable[[Request], None]] = requests.handlers(
            {"prompts/list": self._list, "prompts/get": self._get}
        )

    def close(self) -> None:
        """Stop checking."""
        if self._looking is not None:
            self._looking.cancel()

    async def _list(self, request: Request) -> RequestAnswer:
        cursor = decode(request, PageParams, b"{}").cursor or ""
        seen, prompts = await asyncio.to_thread(lambda: (prompts_state(self._home), saved_prompts(self._home)))
        self._watch(seen)
        if self._era.is_handshake(request):
            self._notifier.note_reading("prompts")
        left = [prompt for prompt in prompts if prompt.name > cursor]
        has_titles = self._era.has_titles(request)
        more = left[PAGE - 1].name if len(left) > PAGE else None
        return RequestAnswer(list_result("prompts", [_entry(prompt, has_titles) for prompt in left[:PAGE]], more))

    async def _get(self, request: Request) -> RequestAnswer:
        params = decode(request, PromptParams, b"{}")
        prompt = await asyncio.to_thread(saved_prompt, self._home, params.name)
        if prompt is None:
            raise RefusedError(INVALID_PARAMS, f"Unknown prompt: {params.name}")
        try:
            return RequestAnswer(prompt_result(prompt.description, prompt.render(params.arguments or {})))
        except PromptArgumentError as error:
            raise RefusedError(INVALID_PARAMS, str(error)) from error

    def _watch(self, seen: frozenset[tuple[str, int, int]]) -> None:
        self._seen = seen
        if self._looking is None:
            self._looking = asyncio.get_running_loop().call_later(INTERVAL, self._look)

    def _look(self) -> None:
        self._looking = None
        found = prompts_state(self._home)
        if found != self._seen:
            self._on_change()
        self._watch(found)


def _entry(prompt: SavedPrompt, has_titles: bool) -> dict[str, object]:
    entry: dict[str, object] = {"name": prompt.name}
    if has_titles:
        entry["title"] = prompt.name.replace("-", " ").replace("_", " ")
    if prompt.description is not None:
        entry["description"] = prompt.description
    if prompt.arguments:
        hint = {} if prompt.argument_hint is None else {"description": prompt.argument_hint}
        entry["arguments"] = [
            {"name": argument.name, **hint, "required": argument.required} for argument in prompt.arguments
        ]
    return entry

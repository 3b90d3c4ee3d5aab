"""The resources: the transcript and the diff of each saved conversation.

`codex://conversations/{threadId}/transcript` is Markdown, `codex://conversations/{threadId}/diff` every patch that was
applied, in order, in git's format. Both change when a turn ends, and every later server has them too.
"""

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, cast

from greenroom.protocol.errors import SessionFileError, SessionUnknownError
from greenroom.protocol.ids import ConversationId
from greenroom.protocol.jsonrpc import INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, Request
from greenroom.protocol.mcp.resources import PageParams, UriParams, contents_result, list_result
from greenroom.supervisor.conversations.state.conversation import Conversation
from greenroom.supervisor.frontend.mcp.change_notifier import MOST_SUBSCRIPTIONS, ChangeNotifier
from greenroom.supervisor.frontend.mcp.protocol_version import ProtocolVersion
from greenroom.supervisor.frontend.mcp.saved_conversations import SavedConversations, read_conversation_id
from greenroom.supervisor.frontend.mcp.transcript import markdown
from greenroom.supervisor.frontend.request_params import RefusedError, decode
from greenroom.supervisor.frontend.request_queue import RequestAnswer, RequestQueue

if TYPE_CHECKING:
    from greenroom.sessions.index import SessionEntry

PAGE: Final = 50
"""Conversations on one page."""
NOT_FOUND: Final = -32002
"""In the handshake eras; later an unknown resource is an invalid parameter."""

Aspect = Literal["transcript", "diff"]

_ADDRESS: Final = re.compile(r"codex://conversations/([^/]+)/(transcript|diff)")


class _Kind(NamedTuple):
    title: str
    description: str
    mime_type: str


KINDS: Final[Mapping[Aspect, _Kind]] = {
    "transcript": _Kind("Transcript", "What was said and done in a conversation, from its beginning.", "text/markdown"),
    "diff": _Kind("Diff", "Every patch that was applied in a conversation, in order.", "text/x-diff"),
}
TEMPLATES: Final[Mapping[Aspect, str]] = {aspect: f"codex://conversations/{{threadId}}/{aspect}" for aspect in KINDS}


def resource_uri(conversation_id: ConversationId, aspect: Aspect) -> str:
    """Return the URI of a resource."""
    return TEMPLATES[aspect].replace("{threadId}", conversation_id)


class Resources:
    """The resources of one connection."""

    def __init__(
        self, requests: RequestQueue, library: SavedConversations, notifier: ChangeNotifier, era: ProtocolVersion
    ) -> None:
        self._saved = library
        self._notifier = notifier
        self._era = era
        self._readers: Mapping[Aspect, Callable[[ConversationId], Awaitable[str]]] = {
            "transcript": self._transcript,
            "diff": library.diff,
        }
        self.handlers: Mapping[str, Callable[[Request], None]] = requests.handlers(
            {
                "resources/list": self._list,
                "resources/templates/list": self._list_templates,
                "resources/read": self._read,
                "resources/subscribe": self._subscribe,
                "resources/unsubscribe": self._unsubscribe,
            }
        )

    def turn_ended(self, conversation: Conversation, is_first: bool) -> None:
        """Notify subscribers that a conversation has grown, or has got its file with its first turn."""
        if is_first:
            self._notifier.changed("resources")
        for aspect in KINDS:
            self._notifier.updated(resource_uri(conversation.id, aspect))

    async def _list(self, request: Request) -> RequestAnswer:
        cursor = decode(request, PageParams, b"{}").cursor
        try:
            found, more = await self._saved.page(PAGE, cursor or "")
        except ValueError:
            raise RefusedError(INVALID_PARAMS, f"unknown cursor {cursor!r}") from None
        if self._era.is_handshake(request):
            self._notifier.note_reading("resources")
        has_titles = self._era.has_titles(request)
        entries = [one for entry in found if entry.fault is None for one in _entries(entry, has_titles)]
        return RequestAnswer(list_result("resources", entries, more))

    async def _list_templates(self, request: Request) -> RequestAnswer:
        decode(request, PageParams, b"{}")
        has_titles = self._era.has_titles(request)
        templates = [
            {"uriTemplate": template, **_described(f"codex-{aspect}", KINDS[aspect].title, KINDS[aspect], has_titles)}
            for aspect, template in TEMPLATES.items()
        ]
        return RequestAnswer(list_result("resourceTemplates", templates, None))

    async def _read(self, request: Request) -> RequestAnswer:
        uri = decode(request, UriParams, b"{}").uri
        conversation_id, aspect = self._parsed(request, uri)
        try:
            text = await self._readers[aspect](conversation_id)
        except SessionUnknownError:
            raise self._unknown(request, uri) from None
        except SessionFileError as error:
            raise RefusedError(INTERNAL_ERROR, str(error), {"uri": uri}) from error
        return RequestAnswer(contents_result(uri, KINDS[aspect].mime_type, text))

    async def _subscribe(self, request: Request) -> RequestAnswer:
        uri = decode(request, UriParams, b"{}").uri
        conversation_id, aspect = self._parsed(request, uri)
        if self._saved.here(conversation_id) is None and not await self._saved.is_saved(conversation_id):
            raise self._unknown(request, uri)
        if not self._notifier.subscribe(resource_uri(conversation_id, aspect)):
            raise RefusedError(INVALID_REQUEST, f"{MOST_SUBSCRIPTIONS} resources are subscribed to already")
        return RequestAnswer()

    async def _unsubscribe(self, request: Request) -> RequestAnswer:
        uri = decode(request, UriParams, b"{}").uri
        self._notifier.unsubscribe(resource_uri(*self._parsed(request, uri)))
        return RequestAnswer()

    async def _transcript(self, conversation_id: ConversationId) -> str:
        return markdown(await self._saved.story(conversation_id))

    def _parsed(self, request: Request, uri: str) -> tuple[ConversationId, Aspect]:
        match = _ADDRESS.fullmatch(uri)
        try:
            if match is not None:
                return read_conversation_id(match[1]), cast("Aspect", match[2])
        except SessionUnknownError:
            pass
        raise self._unknown(request, uri)

    def _unknown(self, request: Request, uri: str) -> RefusedError:
        code = NOT_FOUND if self._era.is_handshake(request) else INVALID_PARAMS
        return RefusedError(code, f"Resource not found: {uri}", {"uri": uri})


def _entries(entry: "SessionEntry", has_titles: bool) -> Iterator[dict[str, object]]:
    for aspect, kind in KINDS.items():
        title = f"{kind.title}: {entry.title or entry.id}"
        yield {"uri": resource_uri(entry.id, aspect), **_described(f"{entry.id}-{aspect}", title, kind, has_titles)}


def _described(name: str, title: str, kind: _Kind, has_titles: bool) -> dict[str, object]:
    """Return the members that resources and templates share. Where there are no titles, clients show the name."""
    named = {"name": name, "title": title} if has_titles else {"name": title}
    return {**named, "description": kind.description, "mimeType": kind.mime_type}

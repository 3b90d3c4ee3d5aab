"""The URL of model requests, and their headers."""

from collections.abc import Iterator, Mapping
from typing import ClassVar
from urllib.parse import parse_qsl, urlsplit

import msgspec

from greenroom.config.defaults import DELTA_WINDOW, RATE_LIMIT_WAIT
from greenroom.config.tables.providers import WireApi
from greenroom.protocol.guarded_struct import GuardedStruct
from greenroom.protocol.ids import ConversationId
from greenroom.workers.model.credentials.credential import Bearer


class ModelEndpoint(GuardedStruct, frozen=True, kw_only=True):
    """The parts of one provider that requests need. Times are in seconds."""

    withheld: ClassVar[frozenset[str]] = frozenset({"url", "chatgpt_url", "headers"})

    url: str
    """Complete, with the path of the Responses API and the query."""
    chatgpt_url: str | None = None
    """The URL with a ChatGPT login; `None` if it is the same."""
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    """The provider's own, which override the others."""
    wire_api: WireApi = "responses"
    originator: str
    user_agent: str
    request_max_retries: int = 4
    stream_max_retries: int = 5
    idle_timeout: float = 300.0
    """How long the server may be silent."""
    delta_window: float = DELTA_WINDOW
    """How long pieces of a text that come thick and fast are gathered; 0 where each is told by itself."""
    connect_timeout: float = 30.0
    rate_limit_wait: float = RATE_LIMIT_WAIT
    """How long a request may wait for rate limits in total."""

    def url_for(self, bearer: Bearer) -> str:
        """Return the URL of a request with this credential."""
        chatgpt = (bearer.base_url_mode or bearer.mode) == "chatgpt"
        return self.chatgpt_url if chatgpt and self.chatgpt_url else self.url

    def headers_for(self, bearer: Bearer, conversation_id: ConversationId) -> dict[str, str]:
        """Return the headers of a request, their names in lower case."""
        headers = {
            "content-type": "application/json",
            "accept": "text/event-stream",
            # A compressed stream would arrive in bursts.
            "accept-encoding": "identity",
            "originator": self.originator,
            "user-agent": self.user_agent,
        }
        if self.wire_api == "responses":
            headers |= {
                "openai-beta": "responses=experimental",
                "session_id": conversation_id,
                "session-id": conversation_id,
                "thread-id": conversation_id,
            }
        headers |= {name.lower(): value for name, value in self.headers.items()}
        if bearer.token is not None:
            headers["authorization"] = f"Bearer {bearer.token}"
        if bearer.is_chatgpt and bearer.account_id is not None:
            headers["chatgpt-account-id"] = bearer.account_id
        return headers

    def secrets(self, bearer: Bearer) -> Iterator[str]:
        """Yield secrets that must not appear in a text even if the server repeats them."""
        if bearer.token:
            yield bearer.token
        yield from self.headers.values()
        yield from (value for _, value in parse_qsl(urlsplit(self.url_for(bearer)).query))


def visible_url(url: str) -> str:
    """Return a URL for people: without user, password, query and fragment."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()

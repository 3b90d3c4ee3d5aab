"""What the job `ask-account` is given, and its result: requests to the service of the user's account."""

from typing import ClassVar

from msgspec import UNSET, Raw, Struct, UnsetType, field

from greenroom.protocol.internal.broker.body import AuthMode

EMPTY = Raw(b"null")


class AccountCall(Struct, frozen=True, kw_only=True):
    """One request: a GET, or a POST where it has a body."""

    route: str
    """Path below the one that all requests of Codex have there, without a slash in front."""
    body: Raw | UnsetType = UNSET
    """A JSON object."""
    headers: dict[str, str] = field(default_factory=dict)


class AskAccount(Struct, frozen=True, kw_only=True):
    """Params of the job."""

    job: ClassVar[str] = "ask-account"

    calls: tuple[AccountCall, ...]
    """Sent at the same time."""
    user_agent: str


class AccountReply(Struct, frozen=True, kw_only=True):
    """What a request has come to."""

    request: str
    """Its method and URL, for people."""
    status: int = 0
    """0 where there was no answer."""
    content: Raw = EMPTY
    """The body, where `is_success`."""
    complaint: str = ""
    """Why there is no such body, for people, without secrets."""

    @property
    def is_success(self) -> bool:
        """Whether the service has answered with a JSON value."""
        return not self.complaint


class AccountReplies(Struct, frozen=True, kw_only=True):
    """Result of the job."""

    mode: AuthMode
    """The login in force. Only with `chatgpt` was anything sent."""
    account_id: str | None = None
    user_id: str | None = None
    replies: tuple[AccountReply, ...] = ()
    """In the order of the calls."""

"""The account's limits, as the model's server has told them last, in the form of this protocol."""

from collections.abc import Mapping
from typing import Final

from greenroom.protocol.app_server.account import GetAccountRateLimitsResponse
from greenroom.protocol.internal.broker.broadcasts import AuthChanged, Broadcast
from greenroom.protocol.jsonrpc import Request, encode
from greenroom.supervisor.frontend.request_queue import Answer
from greenroom.supervisor.processes.broadcasts import Broadcasts

_MEMBERS: Final[Mapping[str, str]] = {
    "limitId": "limit_id",
    "limitName": "limit_name",
    "planType": "plan_type",
    "rateLimitReachedType": "rate_limit_reached_type",
}
_LASTING: Final = frozenset({"planType", "credits"})
_CREDITS: Final[Mapping[str, str]] = {"hasCredits": "has_credits", "unlimited": "unlimited", "balance": "balance"}


def limits_snapshot(limits: Mapping[str, object]) -> dict[str, object]:
    """Return the `rate_limits` of an event, without what is not known."""
    windows = {name: limits.get(name) for name in ("primary", "secondary")}
    given: dict[str, object] = {new: limits[old] for new, old in _MEMBERS.items() if limits.get(old) is not None}
    given |= {name: _window(window) for name, window in windows.items() if isinstance(window, dict)}
    if isinstance(money := limits.get("credits"), dict):
        given["credits"] = {new: money.get(old) for new, old in _CREDITS.items()}
    return given


def _window(window: Mapping[str, object]) -> dict[str, object]:
    used = window.get("used_percent")
    return {
        "usedPercent": round(used) if isinstance(used, int | float) else 0,
        "windowDurationMins": window.get("window_minutes"),
        "resetsAt": window.get("resets_at"),
    }


class AccountLimits:
    """What threads that clients of this protocol follow have been told of the account; shared by the clients."""

    def __init__(self, broadcasts: Broadcasts) -> None:
        self._broadcasts = broadcasts
        self._known: dict[str, object] = {}
        broadcasts.subscribe(self.receive)

    def note(self, snapshot: Mapping[str, object]) -> None:
        """Take what was told last. Plan and credits, which not all responses mention, stay as they were."""
        self._known = {name: value for name, value in self._known.items() if name in _LASTING} | dict(snapshot)

    def receive(self, broadcast: Broadcast) -> None:
        """Forget the limits of an account that is no longer in force."""
        if isinstance(broadcast, AuthChanged) and broadcast.identity_changed:
            self._known = {}

    async def read(self, _: Request) -> Answer:
        """Answer `account/rateLimits/read`."""
        by_id = {str(self._known["limitId"]): self._known} if "limitId" in self._known else None
        return Answer(encode(GetAccountRateLimitsResponse(rate_limits=self._known, rate_limits_by_limit_id=by_id)))

    async def close(self) -> None:
        """Listen no more."""
        self._broadcasts.unsubscribe(self.receive)

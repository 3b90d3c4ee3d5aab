"""The way to one client of this protocol."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from greenroom.protocol.app_server.notifications import NOTIFICATIONS
from greenroom.protocol.app_server.peer import AppServerPeer, timed_notification_line
from greenroom.protocol.app_server.wire import ServerNotification
from greenroom.protocol.jsonrpc import encode
from greenroom.supervisor.frontend.client_channel import ClientChannel, Write

if TYPE_CHECKING:
    from greenroom.protocol.app_server.threads import ThreadForkParams, ThreadResumeParams
    from greenroom.protocol.app_server.turns import TurnStartParams

P = TypeVar("P", "ThreadForkParams", "ThreadResumeParams", "TurnStartParams")
_encode: Final[Callable[[object], bytes]] = msgspec.json.Encoder().encode


class AppServerChannel(ClientChannel):
    """Sends to one client, but for the notifications that it does not want."""

    def __init__(self, write: Write, user_agent: Callable[[], str], cwd: str = "") -> None:
        super().__init__(write, user_agent, cwd)
        self.peer = AppServerPeer()
        self.unwanted: frozenset[str] = frozenset()
        """Methods of notifications that are not sent."""
        self.skill_roots: tuple[str, ...] = ()
        """Folders in which the skills of the client's threads are looked for beside the usual ones."""

    def placed(self, params: P) -> P:
        """Return params with the directory that the client means, where they name one."""
        if params.cwd is None:
            return params
        return msgspec.structs.replace(params, cwd=self.directory(params.cwd))

    def notify(self, method: str, params: object) -> None:
        """Send a notification, unless this protocol has none of that name."""
        if method in NOTIFICATIONS and method not in self.unwanted:
            self.write(timed_notification_line(method, encode(params), round(time.time() * 1000)))

    def tell(self, notification: ServerNotification) -> None:
        """Send a notification of this protocol."""
        if notification.method not in self.unwanted:
            self.write(timed_notification_line(notification.method, _encode(notification), round(time.time() * 1000)))

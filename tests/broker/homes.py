"""Homes for tests: what their `auth.json` holds, and the broker's parts put together without a process."""

import asyncio
import json
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime

from greenroom.broker.clock import Clock
from greenroom.broker.credential.rules import ANY_LOGIN, LoginRules
from greenroom.broker.credential_manager import CredentialManager
from greenroom.broker.refresh.exchange import InProcessExecutor, RefreshExecutor
from greenroom.broker.refresh.refresher import Refresher
from greenroom.broker.refresh.subprocess import SubprocessExecutor
from greenroom.broker.storage.file import FileStore
from greenroom.broker.storage.locks import REFRESH_TIMEOUT
from greenroom.broker.storage.store import Store
from greenroom.broker.token_issuer.client import Issuer
from greenroom.broker.token_issuer.endpoints import IssuerEndpoints
from greenroom.broker.token_service import TokenService
from greenroom.protocol.choices import PreferredAuth
from greenroom.protocol.internal.broker.answers import BearerSnapshot
from greenroom.protocol.internal.broker.broadcasts import AuthChanged, AuthProblem
from greenroom.protocol.internal.broker.questions import GetAuth, ReportUnauthorized
from tests.broker.issuer import ACCOUNT, MockIssuer, access_token, id_token

EXPIRED = -3600.0
FRESH = 3600.0


def tokens(
    refresh: str, lasts: float = FRESH, *, account: str = ACCOUNT, user: str = "user-1", serial: int = 0
) -> dict[str, object]:
    """Return the content of a store with a ChatGPT login."""
    return {
        "OPENAI_API_KEY": None,
        "tokens": {
            "id_token": id_token(account, user=user),
            "access_token": access_token(lasts, serial),
            "refresh_token": refresh,
            "account_id": account,
        },
        "last_refresh": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    }


def write(home: str, content: dict[str, object]) -> None:
    """Replace the store as a careful foreign program would."""
    path = os.path.join(home, "auth.json")
    with open(f"{path}.foreign", "w") as file:
        json.dump(content, file)
    os.rename(f"{path}.foreign", path)


def read(home: str) -> dict[str, object]:
    """Return the content of the store."""
    with open(os.path.join(home, "auth.json")) as file:
        content: dict[str, object] = json.load(file)
    return content


def stored_refresh_token(home: str) -> str:
    """Return the refresh token in the store."""
    held = read(home)["tokens"]
    assert isinstance(held, dict)
    return str(held["refresh_token"])


class FakeClock(Clock):
    """A clock that is put forward by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = 0.0
        """Seconds by which both clocks have been put forward."""
        self.wrong = 0.0
        """Seconds by which the system's idea of the time is off."""

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead

    def _system_time(self) -> float:
        return super()._system_time() + self.ahead + self.wrong


@dataclass
class Parts:
    """The parts of a broker without its sockets."""

    home: str
    issuer: MockIssuer | None = None
    environment: dict[str, str] = field(default_factory=dict)
    preferred: PreferredAuth = "chatgpt"
    changes: list[AuthChanged] = field(default_factory=list)
    problems: list[AuthProblem] = field(default_factory=list)
    rules: LoginRules = ANY_LOGIN
    store: Store | None = None
    issuer_url: str = "http://127.0.0.1:9"
    """Where the issuer is that is not in this process."""
    lock_timeout_s: float = REFRESH_TIMEOUT
    lifeline: int | None = None
    """A descriptor of which the processes learn that carry out refreshes; without one that is done here."""

    def __post_init__(self) -> None:
        self.clock = FakeClock()
        self.manager = CredentialManager(
            self.store or FileStore(self.home),
            self.environment,
            self.preferred,
            self.clock,
            self.changes.append,
            self.problems.append,
            b"identity",
            self.rules,
        )
        self.in_force = self.manager.in_force
        url = self.issuer_url if self.issuer is None else self.issuer.url
        self.refresher = Refresher(
            self.manager, self._performer(IssuerEndpoints.of(url)), lock_timeout_s=self.lock_timeout_s
        )
        self.bearers = TokenService(self.manager, self.refresher)

    def _performer(self, endpoints: IssuerEndpoints) -> RefreshExecutor:
        store, clock = self.manager.store, self.clock
        if self.lifeline is None:
            return InProcessExecutor(store, Issuer(endpoints, clock), clock)
        return SubprocessExecutor(store, endpoints, clock, self.lifeline, os.getpid(), "debug")

    @property
    def state(self) -> str:
        return self.in_force.state(self.clock.wall())

    async def landed(self) -> None:
        """Wait for the refresh that there may be."""
        if self.refresher._running is not None:
            await asyncio.wait({self.refresher._running})

    async def get(self, pin: str | None = None, min_valid: int = 30, deadline: float = 5.0) -> object:
        """Ask for a bearer and return the snapshot or the error."""
        question = GetAuth(pin_identity=pin, min_valid_s=min_valid, deadline_ms=int(deadline * 1000))
        answer = self.bearers.get_auth(question)
        return answer if isinstance(answer, BearerSnapshot) or not hasattr(answer, "__await__") else await answer

    async def snapshot(self, **asked: object) -> BearerSnapshot:
        """Ask for a bearer that there must be."""
        answer = await self.get(**asked)  # type: ignore[arg-type]
        assert isinstance(answer, BearerSnapshot), answer
        return answer

    async def refused(self, snapshot: BearerSnapshot, status: int = 401) -> object:
        """Report that a bearer was refused, and return the outcome."""
        report = await self.bearers.report_unauthorized(
            ReportUnauthorized(broker_epoch=snapshot.broker_epoch, generation=snapshot.generation, http_status=status)
        )
        return report.outcome

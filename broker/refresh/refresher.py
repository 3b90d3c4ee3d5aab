"""Refreshes the access token once for all that need it, here and in other instances on the same home.

The transaction, under the refresh lock: read the store again, adopt another instance's tokens, else have the token
exchanged (`exchange`), and adopt what that has stored. It runs in a task of its own, independent of its callers'
deadlines and cancellation (docs/security.md, K4).
"""

import asyncio
import logging
import random
from enum import Enum
from typing import Final

from greenroom.broker.credential.record import AuthRecord
from greenroom.broker.credential.refresh_request import RefreshRequest
from greenroom.broker.credential.state_table import WANTS_REFRESH
from greenroom.broker.credential_manager import CredentialManager
from greenroom.broker.refresh.exchange import RefreshExecutor, RefreshOutcome
from greenroom.broker.refresh.journal import Journal
from greenroom.broker.refresh.rate_limit import STALE_SPREAD, RefreshBackoff, RefreshBudget, doubt_wait
from greenroom.broker.storage.locks import REFRESH, REFRESH_TIMEOUT, locked
from greenroom.broker.token_issuer.classify import (
    TEXTS,
    AnswerClass,
    RefreshAnswered,
    RefreshFailure,
    RefreshRefused,
    ResponseClassifier,
    Unanswered,
    Unreached,
    failure,
    token_fingerprint,
)
from greenroom.protocol.secrecy import Secret
from greenroom.runtime.files.filelock import LockTimeoutError
from greenroom.runtime.process.launch import LAST_TIMEOUT

log = logging.getLogger(__name__)

SHUTDOWN_TIMEOUT: Final = LAST_TIMEOUT + 0.2
"""Seconds that a transaction under way has when the broker exits."""
UNWRITABLE_PAUSE: Final = 60.0
"""Seconds before another check of a store that could not have been written."""


class RefreshResult(Enum):
    """The outcome of a refresh."""

    FRESH = "nothing needed refreshing"
    ADOPTED = "another had put something else into the store"
    REFRESHED = "new tokens are in force"
    GONE = "there is no refresh token"
    HELD = "it is too early for another try"
    FAILED = "it did not work and may work later"
    DEAD = "the refresh token will never work again"


class Trigger(Enum):
    """The reason for a refresh."""

    NEED = "the token runs out"
    WISH = "the client asked for it"
    REFUSAL = "the model's server refused the token"


class Refresher:
    """The one refresh of a broker that may be under way."""

    def __init__(
        self, manager: CredentialManager, performer: RefreshExecutor, *, lock_timeout_s: float = REFRESH_TIMEOUT
    ) -> None:
        """`lock_timeout_s`: how long another instance that refreshes is waited for."""
        self._lock_timeout_s = lock_timeout_s
        self._manager = manager
        self._state = manager.in_force
        self._clock = manager.clock
        self._performer = performer
        self._running: asyncio.Task[RefreshResult] | None = None
        self._refused = False
        self._is_refreshing = False
        self._journal = Journal()
        self._judge = ResponseClassifier()
        self._backoff = RefreshBackoff()
        self._budget = RefreshBudget()
        self._stale_since: tuple[int, float] = (0, 0.0)

    def join(self, trigger: Trigger) -> asyncio.Task[RefreshResult]:
        """Return the refresh under way, or a new one. Await it with `asyncio.wait`, which does not cancel it."""
        if trigger is Trigger.REFUSAL:
            self._refused = True
        if self._running is None or self._running.done():
            self._running = asyncio.get_running_loop().create_task(self._run(trigger), name="refresh")
        return self._running

    def consider(self) -> None:
        """Start a refresh where the token in force is due and no wait forbids it."""
        now = self._clock.monotonic()
        state = self._state.state(self._clock.wall())
        if state not in WANTS_REFRESH or self._state.retry_in(now) > 0 or not self._state.credential.refresh_token:
            return
        if self._stale_since[0] != self._state.generation:
            spread = random.uniform(0, STALE_SPREAD) if state == "STALE" else 0.0
            self._stale_since = (self._state.generation, now + spread)
        if state != "STALE" or now >= self._stale_since[1]:
            self.join(Trigger.NEED)

    async def settle(self) -> None:
        """Let an exchange under way finish, and cancel all other steps."""
        if self._running is None:
            return
        if self._is_refreshing:
            self._performer.hurry()
        else:
            self._running.cancel()
        await asyncio.wait({self._running}, timeout=SHUTDOWN_TIMEOUT)

    async def _run(self, trigger: Trigger) -> RefreshResult:
        try:
            async with locked(self._manager.store.home, REFRESH, self._lock_timeout_s) as lock:
                self._journal.open(lock)
                result = await self._attempt(lock, trigger)
                if result is None:
                    result = await self._attempt(lock, Trigger.NEED)
        except LockTimeoutError as error:
            log.warning("%s", error)
            result = None
        except Exception:
            log.exception("a refresh broke off")
            result = None
        finally:
            self._refused = self._is_refreshing = False
        if result is None:
            result = self._hold(self._backoff.failed(), RefreshResult.FAILED)
        log.info("refresh: %s", result.value)
        self._manager.stir()
        return result

    async def _attempt(self, lock: int | None, trigger: Trigger) -> RefreshResult | None:
        """Run the transaction once; `None` where it failed while the store got another refresh token."""
        result = await self._adopt()
        if result is not None:
            return result
        now = self._clock.wall()
        token, record = self._state.credential.refresh_token, self._manager.record
        if not token or record is None or record.tokens is None:
            return RefreshResult.GONE
        if reason := self._journal.verdict(token_fingerprint(token)):
            return self._reap(RefreshFailure(reason, TEXTS[reason], token_fingerprint(token)))
        if self._state.failure is not None:
            return RefreshResult.DEAD
        if trigger is Trigger.NEED and self._state.state(now) not in WANTS_REFRESH:
            return RefreshResult.FRESH
        wait = self._wait(token)
        if wait > 0:
            return self._hold(wait)
        if self._state.is_usable(now) and not self._manager.store.is_writable():
            self._manager.report("store_unwritable", "auth.json cannot be written; the tokens are not refreshed")
            return self._hold(min(UNWRITABLE_PAUSE, self._state.usable_for(now)))
        return await self._refresh(lock, token, record)

    async def _adopt(self) -> RefreshResult | None:
        """Look at the store again; return how the refresh ends where that is all it took."""
        before = self._state.credential
        changed = await self._manager.reload(always=True)
        credential = self._state.credential
        if self._state.state(self._clock.wall()) == "STORE_BAD":
            return RefreshResult.GONE
        if not changed:
            return None
        if not credential.bearer or not credential.identity.is_same(before.identity):
            return RefreshResult.ADOPTED
        return RefreshResult.ADOPTED if self._state.is_usable(self._clock.wall()) else None

    def _wait(self, token: Secret) -> float:
        now = self._clock.wall()
        usable_for = self._state.usable_for(now)
        return max(
            self._budget.wait(self._state.identity_key(), self._clock.monotonic(), usable_for),
            doubt_wait(self._journal.attempts(token_fingerprint(token)), now, usable_for),
        )

    async def _refresh(self, lock: int | None, token: Secret, record: AuthRecord) -> RefreshResult | None:
        epoch = self._manager.epoch
        self._is_refreshing = True
        self._journal.begin(lock, token_fingerprint(token), self._clock.wall())
        order = self._manager.order(token, record)
        outcome = await self._performer.perform(order, self._journal, lock)
        if isinstance(outcome.answer, RefreshAnswered):
            return await self._keep(lock, order, outcome, epoch)
        return await self._fail(token, outcome.answer)

    async def _keep(
        self, lock: int | None, order: RefreshRequest, outcome: RefreshOutcome, epoch: int
    ) -> RefreshResult:
        self._backoff.succeeded()
        self._budget.spend(self._state.identity_key(), self._clock.monotonic())
        if outcome.fresh is None:
            return self._reap(
                RefreshFailure("account_changed", TEXTS["account_changed"], token_fingerprint(order.token))
            )
        forced_at = self._clock.monotonic() if self._refused else None
        kept = await self._manager.commit(order, outcome.fresh, epoch, forced_at, outcome.fate)
        if self._manager.is_written:
            self._journal.settle(lock)
        if not kept:
            return RefreshResult.ADOPTED
        return RefreshResult.REFRESHED if outcome.has_bearer else self._hold(self._backoff.failed())

    async def _fail(self, token: Secret, answer: RefreshRefused | Unreached | Unanswered) -> RefreshResult | None:
        mark = token_fingerprint(token)
        verdict = self._judge.verdict(answer, mark)
        log.warning("refresh token not accepted (%s): %s", verdict.name.lower(), answer)
        if verdict is AnswerClass.AMBIGUOUS:
            self._budget.spend(self._state.identity_key(), self._clock.monotonic())
            if await self._is_replaced(token):  # it had stored what it could not tell us any more
                return RefreshResult.ADOPTED
            return self._hold(self._wait(token), RefreshResult.FAILED)
        if verdict is AnswerClass.PERMANENT and isinstance(answer, RefreshRefused):
            return None if await self._is_replaced(token) else self._reap(failure(answer, mark))
        retry_after = answer.retry_after if isinstance(answer, RefreshRefused) else None
        return self._hold(self._backoff.failed(retry_after), RefreshResult.FAILED)

    async def _is_replaced(self, token: Secret) -> bool:
        """Return whether the store has another refresh token by now."""
        await self._manager.reload(always=True)
        return self._state.credential.refresh_token != token

    def _reap(self, verdict: RefreshFailure) -> RefreshResult:
        if self._state.fail_permanently(verdict):
            self._manager.report(verdict.reason, verdict.user_text)
        return RefreshResult.DEAD

    def _hold(self, wait: float, result: RefreshResult = RefreshResult.HELD) -> RefreshResult:
        """Put off the next try, unless there was no need for this one."""
        if result is RefreshResult.FAILED or self._state.state(self._clock.wall()) in WANTS_REFRESH:
            self._state.fail_transiently(self._clock.monotonic() + wait)
        return result

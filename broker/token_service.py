"""Answers requests for a bearer, and reports of refused ones (docs/security.md, K17 to K22)."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable
from typing import Final

from greenroom.broker.credential.state_table import MARGIN, NOT_LOGGED_IN, Holding, holding
from greenroom.broker.credential_manager import CredentialManager
from greenroom.broker.refresh.refresher import Refresher, RefreshResult, Trigger
from greenroom.broker.token_issuer.classify import TEXTS
from greenroom.protocol.internal.broker.answers import AuthError, BearerSnapshot, Status, UnauthorizedReport
from greenroom.protocol.internal.broker.body import UnauthorizedOutcome
from greenroom.protocol.internal.broker.questions import GetAuth, GetStatus, ReportUnauthorized

REFUSED_AGAIN: Final = "Your access token was refused right after it was renewed. Please log out and sign in again."
REMEMBERED: Final = 64
"""Generations whose identity is kept for late reports of refusals."""


class TokenService:
    """The requests of workers, and the supervisor's about the same credential."""

    def __init__(self, manager: CredentialManager, refresher: Refresher) -> None:
        self._manager = manager
        self._state = manager.in_force
        self._clock = manager.clock
        self._refresher = refresher
        self._identities: OrderedDict[int, str] = OrderedDict()

    def get_auth(self, question: GetAuth) -> BearerSnapshot | AuthError | Awaitable[BearerSnapshot | AuthError]:
        """Return the bearer of the next attempt: at once, unless the store has changed or a refresh is due."""
        if self._manager.is_stale():
            return self._get(question)
        return self._answer(question, question.min_valid_s) or self._get(question)

    async def report_unauthorized(self, question: ReportUnauthorized) -> UnauthorizedReport:
        """Return what a worker whose bearer was refused should do."""
        if question.http_status != 401:
            return UnauthorizedReport(outcome="not_refreshable")
        if question.broker_epoch != self._state.epoch or question.generation < self._state.generation:
            return self._overtaken(question, "newer")
        await self._manager.reload()
        if question.generation < self._state.generation and self._state.is_usable(self._clock.wall()):
            return self._overtaken(question, "reloaded")
        return await self._renewed(question)

    async def status(self, question: GetStatus) -> Status:
        """Return how things stand, after trying for a fresh token where that was asked for."""
        await self._manager.reload()
        wants_token = question.include_token and self._answer_now(MARGIN) is None
        if (question.refresh or wants_token) and self._state.credential.refresh_token:
            refresh = self._refresher.join(Trigger.WISH if question.refresh else Trigger.NEED)
            await self._await_refresh(refresh, question.deadline_ms)
        return self._status(include_token=question.include_token)

    async def _get(self, question: GetAuth) -> BearerSnapshot | AuthError:
        deadline = self._clock.monotonic() + question.deadline_ms / 1000
        await self._manager.reload()
        answer = self._answer(question, question.min_valid_s)
        while answer is None:
            left = deadline - self._clock.monotonic()
            wait = self._state.retry_in(self._clock.monotonic())
            if not self._state.credential.refresh_token:
                return self._answer(question, MARGIN) or AuthError(
                    code="reauth_required", user_text=TEXTS["other"], reason="other"
                )
            if wait >= left:
                return AuthError(code="transient", reason="refresh_failed", retry_after_ms=int(wait * 1000))
            if wait <= 0:
                self._refresher.join(Trigger.NEED)
            await self._manager.stirred(wait if wait > 0 else left)
            answer = self._answer(question, MARGIN)
        return answer

    async def _await_refresh(self, refresh: "asyncio.Task[RefreshResult]", deadline_ms: int) -> None:
        """Wait for a refresh, until it ends, another credential is in force, or the deadline passes."""
        deadline = self._clock.monotonic() + deadline_ms / 1000
        before = self._state.generation
        while not refresh.done() and self._state.generation == before:
            left = deadline - self._clock.monotonic()
            if left <= 0:
                return
            await self._manager.stirred(left)

    def _answer(self, question: GetAuth, min_valid: float) -> BearerSnapshot | AuthError | None:
        answer = self._state.answer(self._clock.wall(), min_valid, question.pin_identity)
        if isinstance(answer, BearerSnapshot):
            self._remember(answer.generation, answer.identity_key)
        return answer

    def _answer_now(self, min_valid: float) -> BearerSnapshot | AuthError | None:
        return self._state.answer(self._clock.wall(), min_valid)

    def _remember(self, generation: int, identity: str) -> None:
        if generation not in self._identities:
            self._identities[generation] = identity
            if len(self._identities) > REMEMBERED:
                self._identities.popitem(last=False)

    def _overtaken(self, question: ReportUnauthorized, outcome: UnauthorizedOutcome) -> UnauthorizedReport:
        """Answer a refusal of what is not in force any more."""
        if holding(self._state.credential) is Holding.NOTHING:
            return UnauthorizedReport(outcome="signed_out", user_text=NOT_LOGGED_IN)
        if question.broker_epoch == self._state.epoch:
            self._state.reject(question.generation)
            if self._identities.get(question.generation, self._state.identity_key()) != self._state.identity_key():
                return self._about_another()
        answer = self._answer_now(MARGIN)
        if isinstance(answer, BearerSnapshot):
            return UnauthorizedReport(outcome=outcome, snapshot=answer)
        return self._unusable(answer)

    async def _renewed(self, question: ReportUnauthorized) -> UnauthorizedReport:
        """Answer a refusal of what is in force: refresh, unless that has just been done."""
        state = self._state
        held = holding(state.credential)
        if held is Holding.NOTHING:
            return UnauthorizedReport(outcome="signed_out", user_text=NOT_LOGGED_IN)
        if held is Holding.KEY or not state.credential.refresh_token:
            return UnauthorizedReport(outcome="not_refreshable")
        if state.was_forced_lately(self._clock.monotonic()):
            return UnauthorizedReport(outcome="exhausted", user_text=REFUSED_AGAIN)
        refused = state.generation
        state.reject(refused)
        refresh = self._refresher.join(Trigger.REFUSAL)
        await self._await_refresh(refresh, question.deadline_ms)
        if state.generation > refused:
            return self._overtaken(question, "refreshed")
        return self._unusable(self._answer_now(MARGIN))

    def _about_another(self) -> UnauthorizedReport:
        return UnauthorizedReport(outcome="identity_changed", user_text=TEXTS["account_changed"])

    def _unusable(self, answer: BearerSnapshot | AuthError | None) -> UnauthorizedReport:
        if isinstance(answer, AuthError) and answer.code == "reauth_required":
            return UnauthorizedReport(outcome="permanent", user_text=answer.user_text)
        if isinstance(answer, AuthError) and answer.code == "signed_out":
            return UnauthorizedReport(outcome="signed_out", user_text=answer.user_text)
        wait = self._state.retry_in(self._clock.monotonic())
        return UnauthorizedReport(outcome="transient", retry_after_ms=int(wait * 1000))

    def _status(self, *, include_token: bool) -> Status:
        credential, snapshot = self._state.credential, self._state.snapshot()
        if credential.mode == "chatgpt" and credential.refreshed_at is None:
            snapshot = None  # as the reference has it
        return Status(
            mode="none" if snapshot is None else snapshot.mode,
            state=self._state.state(self._clock.wall()),
            generation=self._state.generation,
            token=snapshot.token if snapshot is not None and include_token else None,
            email=credential.identity.email,
            plan_type=credential.plan_type,
        )

"""Lets threads go on with their goals: begins a turn of the goal's own where one is active and the thread is idle."""

import asyncio
from functools import partial
from typing import Final

from greenroom.supervisor.conversations.registry import Conversations
from greenroom.supervisor.conversations.state.turn import CallOrigin
from greenroom.supervisor.frontend.app_server.questions import Questions
from greenroom.supervisor.frontend.app_server.thread_session import ThreadSession
from greenroom.supervisor.frontend.app_server.thread_sessions import ThreadSessions
from greenroom.supervisor.frontend.app_server.turn_audience import AppTurn

ORIGIN: Final = CallOrigin("thread/goal/set")


class GoalPursuit:
    """Belongs to one client: its threads go on as long as it is subscribed to them, and asks its user.

    A turn follows one that is complete. After one that was stopped, or has failed, the client has to say that it is to
    go on: by setting the goal again, by taking the thread up again or by a turn of its own.
    """

    def __init__(self, conversations: Conversations, sessions: ThreadSessions, questions: Questions) -> None:
        self._conversations = conversations
        self._sessions = sessions
        self._questions = questions
        self._loop = asyncio.get_running_loop()

    def follow(self, session: ThreadSession) -> None:
        """Go on with the goal of a thread, now and at the end of each turn that is complete."""
        session.on_rest = partial(self._soon, session)
        self._soon(session)

    def _soon(self, session: ThreadSession) -> None:
        """Go on once the end of the turn has been dealt with, and what waits behind it has begun."""
        self._loop.call_soon(self._go_on, session)

    def _go_on(self, session: ThreadSession) -> None:
        goal, settings = session.goal, session.settings
        conversation = self._conversations.find(session.id)
        if goal is None or goal.status != "active" or settings is None or conversation is None:
            return
        if self._sessions.find(session.id) is not session or not self._conversations.pursues_goals:
            return
        is_idle = conversation.running is None and not conversation.queued
        if not is_idle or conversation.is_leaving or conversation.is_wanted_elsewhere:
            return
        audience = AppTurn(session, self._conversations, self._questions)
        turn = self._conversations.pursue_goal(conversation, audience, settings.for_worker(), ORIGIN)
        if audience.refusal is None:
            audience.attach(turn)
            session.begin(turn.id, None)

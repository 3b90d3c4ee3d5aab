"""The actor: handles operations one after the other, runs at most one turn at a time, and reports the end of each."""

import asyncio
import contextlib
import logging
import os
import signal

import zmq

from greenroom.protocol.errors import GreenroomError
from greenroom.protocol.internal.process import WorkerSpec
from greenroom.protocol.internal.worker import (
    FIRST_HEARTBEAT,
    HEARTBEAT,
    Close,
    Compact,
    Decide,
    Heartbeat,
    Interrupt,
    MeasureWorker,
    Open,
    Opened,
    OpenFailed,
    Ready,
    ReceivedOperation,
    RunJob,
    StartTurn,
    Steer,
    StopJob,
    TurnEnded,
    WorkerMeasured,
)
from greenroom.runtime import footprint, logfile, orphans
from greenroom.workers.conversation.conversation import Conversation
from greenroom.workers.conversation.turn import TurnOutcome
from greenroom.workers.jobs.job import Job
from greenroom.workers.mailbox import Mailbox
from greenroom.workers.model.credentials_channel import CredentialsChannel

log = logging.getLogger(__name__)

LEAVE_TIMEOUT = 0.5
"""Seconds for a turn to end when the worker has to exit."""
LAST_WORDS_MS = 300
"""Milliseconds for the last notices to be sent."""


class Actor:
    """One worker process, from its start to its end. To be created on the running loop."""

    def __init__(self, spec: WorkerSpec, lifeline: int) -> None:
        self._spec = spec
        self._operations: asyncio.Queue[ReceivedOperation] = asyncio.Queue()
        self._conversation: Conversation | None = None
        self._running: StartTurn | Compact | None = None
        self._work: asyncio.Task[TurnOutcome] | None = None
        self._concluding: asyncio.Task[None] | None = None
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._mailbox = Mailbox(self._context, spec, self._take)
        self._credentials: CredentialsChannel | None = None
        self._job: Job | None = None
        loop = asyncio.get_running_loop()
        loop.add_reader(lifeline, self._abandoned, lifeline)
        loop.add_signal_handler(signal.SIGTERM, self._ask_to_leave)

    async def live(self) -> None:
        """Serve until told to exit, or until the supervisor is gone."""
        self._mailbox.notify(Ready(worker_id=self._spec.id, pid=os.getpid()))
        try:
            await self._serve()
        finally:
            await self._leave()

    def _take(self, received: ReceivedOperation) -> None:
        """Queue an operation, unless it is one that is handled at once."""
        if isinstance(received.operation, MeasureWorker):
            self._say_what_is_held()
        else:
            self._operations.put_nowait(received)

    async def _serve(self) -> None:
        while True:
            operation, payload = await self._operations.get()
            match operation:
                case Open():
                    await self._open(operation, payload)
                case StartTurn() | Compact():
                    await self._start_turn(operation, payload)
                case Interrupt():
                    self._interrupt(operation)
                case Decide() | Steer():
                    self._pass_in(operation, payload)
                case RunJob() | StopJob():
                    self._run_job(operation, payload)
                case Close():
                    return

    async def _open(self, operation: Open, overrides: bytes) -> None:
        self._mailbox.address(operation.conversation_id, operation.incarnation)
        logfile.identify(conversation_id=operation.conversation_id, incarnation=operation.incarnation)
        conversation = Conversation(operation, self._spec, self._mailbox, self._open_credentials)
        try:
            await conversation.open(overrides)
        except GreenroomError as error:
            await conversation.close()
            refusal = OpenFailed(
                conversation_id=operation.conversation_id,
                incarnation=operation.incarnation,
                error_kind=error.kind,
                message=str(error),
            )
            self._mailbox.notify(refusal)
            return
        self._conversation = conversation
        self._mailbox.notify(
            Opened(
                conversation_id=operation.conversation_id,
                incarnation=operation.incarnation,
                model=conversation.settings.model,
                cwd=conversation.settings.cwd,
                session_path=conversation.session_path,
                title=conversation.title,
                tokens=conversation.tokens_used,
            ),
            conversation.configured,
        )

    async def _start_turn(self, operation: StartTurn | Compact, items: bytes) -> None:
        if self._conversation is None:
            return  # it followed an `Open` that failed, after which the supervisor tells the worker to exit
        if self._concluding is not None:  # the supervisor waits for the end of a turn; this only guards the order
            await self._concluding
        self._running = operation
        logfile.identify(turn_id=operation.turn_id)
        self._mailbox.address(operation.conversation_id, operation.incarnation, operation.turn_id)
        loop = asyncio.get_running_loop()
        conversation, turn_id = self._conversation, operation.turn_id
        if isinstance(operation, Compact):
            work = conversation.compact(turn_id)
        else:
            work = conversation.run_turn(turn_id, items, operation.settings)
        self._work = loop.create_task(work, name="turn")
        self._concluding = loop.create_task(self._conclude(self._conversation, operation, self._work), name="conclude")

    async def _conclude(
        self, conversation: Conversation, operation: StartTurn | Compact, work: "asyncio.Task[TurnOutcome]"
    ) -> None:
        """Report the end of a turn, however it ended."""
        beating = asyncio.get_running_loop().create_task(self._beat(conversation, operation), name="heartbeat")
        await asyncio.wait((work,))
        beating.cancel()
        if work.cancelled():
            outcome = conversation.abandon_turn(operation.turn_id)
        elif (error := work.exception()) is not None:
            log.error("conversation %s: the turn broke", operation.conversation_id, exc_info=error)
            outcome = conversation.break_turn(operation.turn_id, error)
        else:
            outcome = work.result()
        self._running = None
        notice = TurnEnded(
            conversation_id=operation.conversation_id,
            incarnation=operation.incarnation,
            turn_id=operation.turn_id,
            outcome=outcome.kind,
            error_kind=outcome.error_kind,
            message=outcome.message,
            facts={**outcome.facts},
            tokens=conversation.tokens_used,
            open_commands=conversation.open_commands,
            unsaved=conversation.save_fault is not None,
        )
        self._mailbox.notify(notice, outcome.last_message)

    async def _beat(self, conversation: Conversation, operation: StartTurn | Compact) -> None:
        """Send heartbeats while a turn runs, unless the supervisor is not accepting messages anyway."""
        pause = FIRST_HEARTBEAT
        while True:
            await asyncio.sleep(pause)
            pause = HEARTBEAT
            if not self._mailbox.pressed:
                self._mailbox.notify(
                    Heartbeat(
                        conversation_id=operation.conversation_id,
                        incarnation=operation.incarnation,
                        turn_id=operation.turn_id,
                        doing=conversation.doing,
                        tokens=conversation.tokens_used,
                        unsent_bytes=self._mailbox.statistics().waiting_bytes,
                        step=conversation.step,
                    )
                )

    def _say_what_is_held(self) -> None:
        conversation = self._conversation
        self._mailbox.notify(
            WorkerMeasured(
                footprint=footprint.measure(),
                unsent_bytes=self._mailbox.statistics().waiting_bytes,
                sandbox_limits=() if conversation is None else conversation.sandbox_limits,
                zygote=None if conversation is None else conversation.own_zygote,
            )
        )

    def _interrupt(self, operation: Interrupt) -> None:
        if self._running is not None and self._running.turn_id == operation.turn_id and self._work is not None:
            self._work.cancel()

    def _pass_in(self, operation: Decide | Steer, payload: bytes) -> None:
        if self._conversation is None:
            return
        if isinstance(operation, Steer):
            self._conversation.steer(operation, payload)
        else:
            self._conversation.settle(operation.question_id, operation.decision)

    def _run_job(self, operation: RunJob | StopJob, params: bytes) -> None:
        if isinstance(operation, RunJob):
            self._job = Job(operation, params, self._spec)
            self._job.start(self._mailbox.notify)
        elif self._job is not None:
            self._job.stop()

    def _open_credentials(self) -> CredentialsChannel:
        """Open the connection to the auth broker on first use, because many conversations never need it."""
        if self._credentials is None:
            self._credentials = CredentialsChannel(self._context, self._spec)
        return self._credentials

    def _ask_to_leave(self) -> None:
        self._operations.put_nowait(ReceivedOperation(Close(), b""))

    def _abandoned(self, lifeline: int) -> None:
        """The supervisor is gone, so end everything and exit."""
        asyncio.get_running_loop().remove_reader(lifeline)
        orphans.end_all_children()
        os._exit(1)

    async def _leave(self) -> None:
        if self._work is not None and self._concluding is not None:
            self._work.cancel()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LEAVE_TIMEOUT):
                    await self._concluding
        if self._job is not None:
            await self._job.close()
        if self._conversation is not None:
            await self._conversation.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_MS / 1000):
                await self._mailbox.sent()
        self._mailbox.close(LAST_WORDS_MS)
        if self._credentials is not None:
            self._credentials.close()
        self._context.term()

"""The actor: takes operations one after the other, runs at most one turn at a time, and says how each ended."""

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import msgspec
import zmq

from greenroom.protocol.errors import GreenroomError, NodeLacksDirectoryError
from greenroom.protocol.ids import BEFORE_TURNS
from greenroom.protocol.internal.process import WorkerSpec
from greenroom.protocol.internal.worker.notices import (
    HEARTBEAT,
    Heartbeat,
    Opened,
    OpenFailed,
    Ready,
    TurnEnded,
    TurnProgress,
    WorkerMeasured,
)
from greenroom.protocol.internal.worker.operations import (
    Close,
    Compact,
    Decide,
    HoldEvents,
    Interrupt,
    MeasureWorker,
    Open,
    ReceivedOperation,
    RunJob,
    RunUserCommand,
    SelectEvents,
    ServeRequest,
    StartTurn,
    Steer,
    StopJob,
    TellJob,
    WithdrawRequest,
)
from greenroom.runtime.log import logfile
from greenroom.runtime.process import connections, footprint, orphans
from greenroom.workers.conversation.client_requests import ServedRequests
from greenroom.workers.conversation.conversation import OpenedConversation
from greenroom.workers.conversation.opening import open_conversation
from greenroom.workers.conversation.turn.turn_outcome import TurnOutcome
from greenroom.workers.jobs.job import JobRun
from greenroom.workers.mailbox import Mailbox
from greenroom.workers.model.credentials.channel import CredentialsChannel
from greenroom.workers.model.transport.session import SpareSession
from greenroom.workers.records_channel import RecordsChannel
from greenroom.workers.repeating_timer import RepeatingTimer

log = logging.getLogger(__name__)

AnyTurn: TypeAlias = StartTurn | Compact | RunUserCommand

LEAVE_TIMEOUT = 0.5
"""Seconds that a turn has for ending when the worker has to leave."""
HOST_FIRST = 0.1
"""Seconds between the last connection of a worker on a node and its exit, which costs a core some milliseconds: where
many lose their node at once and the host is on the same machine, it answers their calls first."""
LAST_WORDS_MS = 300
"""Milliseconds that the last notices have for reaching the supervisor."""


class Actor:
    """One worker process, from its start to its end. Must be made on the running loop."""

    def __init__(self, spec: WorkerSpec, lifeline: int) -> None:
        self._spec = spec
        self._operations: asyncio.Queue[ReceivedOperation] = asyncio.Queue()
        self._conversation: OpenedConversation | None = None
        self._running: AnyTurn | None = None
        self._work: asyncio.Task[TurnOutcome] | None = None
        self._conclusion: Callable[[asyncio.Task[TurnOutcome]], None] | None = None
        """What says how the turn has ended."""
        self._sign_of_life: Callable[[], None] | None = None
        """What says how the turn stands, while one runs."""
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._lifeline = lifeline
        self._mailbox = Mailbox(self._context, spec, self._take, self._abandoned)
        self._credentials: CredentialsChannel | None = None
        self._records: RecordsChannel | None = None
        self._spare_session = SpareSession()
        self._connecting: asyncio.Task[None] | None = None
        self._job: JobRun | None = None
        self._requests: ServedRequests | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(lifeline, self._abandoned)
        # `loop.add_signal_handler` makes an object of each signal, which unshares 0.17 MB in every waiting worker.
        signal.signal(signal.SIGTERM, self._signalled)
        signal.siginterrupt(signal.SIGTERM, False)
        if spec.is_on_node:
            self._prepare_for_home()

    async def live(self) -> None:
        """Serve until told to leave, or until the supervisor is gone."""
        self._mailbox.notify(Ready(worker_id=self._spec.id, pid=os.getpid()))
        self._spare_session.prepare()
        try:
            await self._serve()
        finally:
            await self._leave()

    def _take(self, received: ReceivedOperation) -> None:
        """Put an operation behind those before it, but for those that are carried out at once."""
        match received.operation:
            case MeasureWorker():
                self._report_held()
            case HoldEvents(hold=hold):
                self._mailbox.hold(hold)
            case _:
                self._operations.put_nowait(received)

    async def _serve(self) -> None:
        while True:
            operation, payload = await self._operations.get()
            match operation:
                case Open():
                    await self._open(operation, payload)
                case StartTurn() | Compact() | RunUserCommand():
                    await self._start_turn(operation, payload)
                case Interrupt():
                    self._interrupt(operation)
                case SelectEvents():
                    self._select_events(operation)
                case Decide() | Steer():
                    self._pass_in(operation, payload)
                case ServeRequest() | WithdrawRequest():
                    self._serve_request(operation, payload)
                case RunJob() | StopJob() | TellJob():
                    self._run_job(operation, payload)
                case Close():
                    return

    async def _open(self, operation: Open, arguments: bytes) -> None:
        self._mailbox.begin_turn(BEFORE_TURNS)
        logfile.identify(conversation_id=operation.conversation_id, incarnation=operation.incarnation)
        try:
            conversation = await open_conversation(
                operation,
                arguments,
                self._spec,
                self._mailbox,
                self._open_credentials,
                self._spare_session.take,
                records=self._records,
                on_wait=partial(self._tell_of_opening, operation),
            )
        except GreenroomError as error:
            refusal = OpenFailed(
                conversation_id=operation.conversation_id,
                incarnation=operation.incarnation,
                error_kind=error.kind,
                message=str(error),
                lacks_directory=isinstance(error, NodeLacksDirectoryError),
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
                session_path=conversation.recorder.path,
                title=conversation.title,
                tokens=conversation.tokens.used,
                spending=None if conversation.ledger is None else conversation.ledger.conversation,
                worktree=conversation.worktree,
            ),
            conversation.configured,
        )

    async def _start_turn(self, operation: AnyTurn, items: bytes) -> None:
        if self._conversation is None:
            return  # it came behind an `Open` that failed, with which the supervisor ends it
        if self._work is not None:  # the supervisor waits for the end of a turn; this is only for order
            await self._wait_for_end(self._work)
        self._running = operation
        logfile.identify(turn_id=operation.turn_id)
        self._mailbox.begin_turn(operation.turn_id)
        conversation, turn_id = self._conversation, operation.turn_id
        conversation.timings.trace = operation.trace
        if conversation.ledger is not None:
            conversation.ledger.begin_turn()
        if isinstance(operation, Compact):
            work = conversation.turns.compact(turn_id)
        elif isinstance(operation, RunUserCommand):
            work = conversation.turns.run_command(turn_id, operation.script, operation.timeout_ms)
        elif operation.pursues_goal:
            conversation.select_events(operation.deltas, operation.steps)
            work = conversation.turns.pursue(turn_id, operation.settings)
        else:
            conversation.select_events(operation.deltas, operation.steps)
            work = conversation.turns.run(turn_id, items, operation.settings, operation.output_schema)
        self._sign_of_life = partial(self._give_sign_of_life, conversation, operation)
        heartbeat = RepeatingTimer(self._sign_of_life, HEARTBEAT)
        conversation.timings.on_full = self._sign_of_life
        self._work = self._loop.create_task(work, name="turn")
        self._conclusion = partial(self._conclude, conversation, operation, heartbeat)
        self._work.add_done_callback(self._conclusion)

    def _conclude(
        self,
        conversation: OpenedConversation,
        operation: AnyTurn,
        heartbeat: RepeatingTimer,
        work: "asyncio.Task[TurnOutcome]",
    ) -> None:
        """Say how a turn ended, whichever way it did."""
        heartbeat.stop()
        self._sign_of_life = conversation.timings.on_full = None
        if work.cancelled():
            outcome = conversation.turns.abort()
        elif (error := work.exception()) is not None:
            log.error("conversation %s: the turn broke", operation.conversation_id, exc_info=error)
            outcome = conversation.turns.fail(error)
        else:
            outcome = work.result()
        self._running = None
        conversation.injected.apply()
        timings, untimed = conversation.timings.end_turn()
        notice = TurnEnded(
            conversation_id=operation.conversation_id,
            incarnation=operation.incarnation,
            turn_id=operation.turn_id,
            outcome=outcome.kind,
            error_kind=outcome.error_kind,
            message=outcome.message,
            facts={**outcome.facts},
            tokens=conversation.tokens.used,
            spending=None if conversation.ledger is None else conversation.ledger.conversation,
            turn_spending=None if conversation.ledger is None else conversation.ledger.turn,
            open_commands=conversation.tools.background_commands,
            unsaved=not conversation.recorder.holds_all,
            timings=timings,
            untimed=untimed,
        )
        self._mailbox.notify(notice, outcome.last_message)

    async def _wait_for_end(self, work: "asyncio.Task[TurnOutcome]") -> None:
        """Wait until a turn has ended and its end is told."""
        await asyncio.wait((work,))
        if self._running is not None:  # `_conclude` is due in this pass of the loop
            await asyncio.sleep(0)

    def _give_sign_of_life(self, conversation: OpenedConversation, operation: AnyTurn) -> None:
        timings = conversation.timings.waiting
        is_sent = self._mailbox.report(
            Heartbeat(
                conversation_id=operation.conversation_id,
                incarnation=operation.incarnation,
                turn_id=operation.turn_id,
                progress=TurnProgress(
                    doing=conversation.doing,
                    unsent=self._mailbox.statistics().waiting_bytes,
                    step=conversation.step,
                ),
                tokens=conversation.tokens.used,
                timings=timings,
                open_parts=conversation.timings.open_parts,
            )
        )
        if is_sent:
            conversation.timings.sent(len(timings))

    def _tell_of_opening(self, operation: Open) -> None:
        """Give a sign of life of a conversation that is opened: it takes long where it gets a worktree."""
        self._mailbox.report(
            Heartbeat(
                conversation_id=operation.conversation_id,
                incarnation=operation.incarnation,
                turn_id=BEFORE_TURNS,
                progress=TurnProgress(doing="making a worktree", unsent=self._mailbox.statistics().waiting_bytes),
                tokens=0,
            )
        )

    def _report_held(self) -> None:
        """Say what this process holds, and before that how its turn stands now: an observer has asked."""
        if self._sign_of_life is not None:
            self._sign_of_life()
        conversation = self._conversation
        self._mailbox.report(
            WorkerMeasured(
                footprint=msgspec.structs.replace(
                    footprint.measure(),
                    unsent=self._mailbox.statistics().waiting_bytes,
                    sandbox_limits=() if conversation is None else conversation.tools.sandbox_limits,
                ),
                zygote=None if conversation is None else conversation.tools.own_zygote,
            )
        )

    def _interrupt(self, operation: Interrupt) -> None:
        if self._running is not None and self._running.turn_id == operation.turn_id and self._work is not None:
            self._work.cancel()

    def _pass_in(self, operation: Decide | Steer, payload: bytes) -> None:
        if self._conversation is None:
            return
        if isinstance(operation, Steer):
            self._conversation.steering.put(operation, payload)
        else:
            self._conversation.approvals.settle(operation.question_id, operation.decision)

    def _select_events(self, operation: SelectEvents) -> None:
        if self._conversation is not None:
            self._conversation.select_events(operation.deltas, operation.steps)

    def _run_job(self, operation: RunJob | StopJob | TellJob, payload: bytes) -> None:
        if isinstance(operation, RunJob):
            self._job = JobRun(operation, payload, self._spec, self._mailbox, self._open_credentials)
            self._job.start(self._mailbox.notify)
        elif self._job is not None and isinstance(operation, TellJob):
            self._job.tell(payload)
        elif self._job is not None:
            self._job.stop()

    def _serve_request(self, operation: ServeRequest | WithdrawRequest, payload: bytes) -> None:
        if self._conversation is None:
            return  # it came behind an `Open` that failed
        if self._requests is None:
            self._requests = ServedRequests(self._conversation, self._turn_runs, self._mailbox.notify)
        if isinstance(operation, ServeRequest):
            self._requests.start(operation, payload)
        else:
            self._requests.withdraw(operation.number)

    def _turn_runs(self) -> bool:
        return self._running is not None

    def _open_credentials(self) -> CredentialsChannel:
        """Open the line to the auth broker when it is first needed: many conversations never need it."""
        if self._credentials is None:
            self._credentials = CredentialsChannel(self._context, self._spec)
        return self._credentials

    def _signalled(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ask_to_leave)

    def _ask_to_leave(self) -> None:
        self._operations.put_nowait(ReceivedOperation(Close(), b""))

    def _prepare_for_home(self) -> None:
        """Connect a worker on a node with all that it may need, before it has a conversation: that takes a while."""
        self._records = RecordsChannel(self._mailbox, self._lifeline, self._abandoned)
        if self._spec.greets_broker:
            self._connecting = asyncio.get_running_loop().create_task(self._greet_broker(), name="connect")

    async def _greet_broker(self) -> None:
        with contextlib.suppress(GreenroomError):  # asked again when a credential is needed
            await self._open_credentials().start()

    def _abandoned(self) -> None:
        """The supervisor is gone: end what runs, then this process."""
        asyncio.get_running_loop().remove_reader(self._lifeline)
        connections.end_connections()
        orphans.end_all_children()
        if self._spec.is_on_node:
            time.sleep(HOST_FIRST)
        os._exit(1)

    async def _leave(self) -> None:
        if self._work is not None and self._conclusion is not None:
            self._work.cancel()
            try:
                async with asyncio.timeout(LEAVE_TIMEOUT):
                    await self._wait_for_end(self._work)
            except TimeoutError:  # its conversation is closed now: nothing more is said or saved of it
                self._work.remove_done_callback(self._conclusion)
        if self._job is not None:
            await self._job.close()
        if self._requests is not None:
            await self._requests.close()
        if self._conversation is not None:
            await self._conversation.close()
        await self._spare_session.close()
        self._mailbox.hold(False)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_MS / 1000):
                await self._mailbox.sent()
        self._mailbox.close(LAST_WORDS_MS)
        if self._connecting is not None:
            self._connecting.cancel()
        if self._credentials is not None:
            self._credentials.close()
        self._context.term()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

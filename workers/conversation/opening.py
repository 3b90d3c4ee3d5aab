"""Opens a conversation: resolves its settings, finds or creates its session file, and connects its parts."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import msgspec

from greenroom.config.paths import require_directory
from greenroom.config.reader import Reader
from greenroom.config.settings import ConversationOverrides, Settings
from greenroom.config.texts import base_instructions, compaction_prompt
from greenroom.protocol.events.event import Event
from greenroom.protocol.events.item import ItemCompleted
from greenroom.protocol.events.turn import BackgroundEvent
from greenroom.protocol.ids import ConversationId
from greenroom.protocol.internal.node import HomeParts
from greenroom.protocol.internal.process import WorkerSpec
from greenroom.protocol.internal.worker.operations import Open
from greenroom.protocol.version import __version__
from greenroom.runtime.originator import originator
from greenroom.runtime.process.spawn import OWN_VARIABLES
from greenroom.sessions.records.format import session_meta
from greenroom.sessions.records.resumed_settings import resumed_settings
from greenroom.sessions.storage.file import SessionFile
from greenroom.sessions.storage.lock import is_written
from greenroom.sessions.storage.unsaved import UnsavedFile
from greenroom.sessions.storage.writer import SessionWriter
from greenroom.workers.conversation.approval_reviewer import ApprovalReviewer
from greenroom.workers.conversation.compaction.compaction import Compaction
from greenroom.workers.conversation.compaction.summarizer import Summarizer
from greenroom.workers.conversation.conversation import OpenedConversation
from greenroom.workers.conversation.current_turn import CurrentTurn
from greenroom.workers.conversation.events import event
from greenroom.workers.conversation.events.event_emitter import EventEmitter
from greenroom.workers.conversation.goal.goal_keeper import GoalKeeper
from greenroom.workers.conversation.history.history import History
from greenroom.workers.conversation.home import RemoteHome
from greenroom.workers.conversation.injected_items import InjectedItems
from greenroom.workers.conversation.model_connection import ModelConnection
from greenroom.workers.conversation.notices import ConversationNotices
from greenroom.workers.conversation.pending_approvals import PendingApprovals
from greenroom.workers.conversation.prompt.context import InitialContext
from greenroom.workers.conversation.prompt.request_builder import RequestBuilder
from greenroom.workers.conversation.resumption import ResumedSession, resumed_session
from greenroom.workers.conversation.session_recorder import SessionRecorder
from greenroom.workers.conversation.step_reporter import StepReporter
from greenroom.workers.conversation.tool_host import ConversationToolHost
from greenroom.workers.conversation.tools import ConversationTools
from greenroom.workers.conversation.transcript import Transcript
from greenroom.workers.conversation.turn.response_reader import ResponseReader
from greenroom.workers.conversation.turn.steering import SteeringQueue
from greenroom.workers.conversation.turn.turn import TurnLoop
from greenroom.workers.conversation.turn.turn_report import TurnReport
from greenroom.workers.conversation.turn.turn_runner import TurnRunner
from greenroom.workers.conversation.turn.turn_settings import ConversationSettings
from greenroom.workers.conversation.turn.user_input import UserInput
from greenroom.workers.conversation.usage.tokens import TokenCounter
from greenroom.workers.conversation.worktree import conversation_worktree
from greenroom.workers.event_sink import EventSink
from greenroom.workers.model.credentials.bearer import ProviderCredentials
from greenroom.workers.model.credentials.channel import CredentialsChannel
from greenroom.workers.model.transport.session import SessionFactory, new_session
from greenroom.workers.records_channel import RecordsChannel
from greenroom.workers.timings import Subject, TurnTimings

if TYPE_CHECKING:
    from greenroom.sessions.history_file import MessageHistory
    from greenroom.workers.conversation.notifier import Notifier
    from greenroom.workers.conversation.usage.ledger import Ledger
    from greenroom.workers.mcp.toolset import McpToolset
    from greenroom.workers.worktree.worktree import Workplace

log = logging.getLogger(__name__)

LAST_WRITER_SECONDS = 1.0
"""How long the process that had a conversation before may take to end."""
_PAUSE = 0.02
LOST = "This conversation is not saved, and its process has ended: what was said before is lost."
"""What the user is told of a conversation that begins again without its history."""


class _Arguments(msgspec.Struct, frozen=True):
    """The payload of `Open`."""

    cli: list[str]
    call: msgspec.Raw
    home: HomeParts | None = None
    """For a worker on a node."""


_decode_arguments = msgspec.json.Decoder(_Arguments).decode


class _Shared(msgspec.Struct, frozen=True):
    """The parts that most others use."""

    settings: Settings
    turn: CurrentTurn
    notices: ConversationNotices
    tokens: TokenCounter
    steps: StepReporter
    timings: TurnTimings
    recorder: SessionRecorder
    transcript: Transcript


async def open_conversation(
    operation: Open,
    arguments: bytes,
    spec: WorkerSpec,
    mailbox: EventSink,
    open_credentials: Callable[[], CredentialsChannel],
    session_factory: SessionFactory = new_session,
    *,
    records: RecordsChannel | None = None,
    on_wait: Callable[[], None] = lambda: None,
) -> OpenedConversation:
    """Return the conversation that `operation` names, once it is announced. Raises `GreenroomError`.

    `arguments` is the payload of `operation`. The channel to the auth broker is opened with the first credential.
    `records` is the way of session records to the host, for a worker on a node. `on_wait` is called every `HEARTBEAT`
    seconds while a worktree is made.
    """
    decoded = _decode_arguments(arguments)
    overrides = ConversationOverrides.from_json(bytes(decoded.call))
    remote = None if decoded.home is None or records is None else RemoteHome(decoded.home, records)
    if remote is not None:
        remote.lay_out(spec.codex_home)
        overrides = remote.overrides(overrides)
        workplace = None
    else:
        if operation.resume != "no":  # nobody has written a new one
            await _await_last_writer(spec.codex_home, operation.conversation_id)
        workplace = await conversation_worktree(operation, spec, decoded.cli, overrides, on_wait)
    if workplace is not None and (overrides.worktree or overrides.reconfigured):  # wherever the caller was started
        overrides = msgspec.structs.replace(overrides, cwd=workplace.cwd)
    opening = _Opening(operation, spec, mailbox, open_credentials, session_factory, workplace, remote)
    async with AsyncExitStack() as closing:
        return opening.build(decoded.cli, overrides, closing)


async def _await_last_writer(home: str, conversation_id: ConversationId) -> None:
    """Let the process that had a conversation end: its server may just have died, which it is about to notice."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + LAST_WRITER_SECONDS
    while is_written(home, conversation_id) and loop.time() < deadline:  # noqa: ASYNC110 - in another process
        await asyncio.sleep(_PAUSE)


class _Opening:
    """Builds one conversation, from its settings to its announcement."""

    def __init__(
        self,
        operation: Open,
        spec: WorkerSpec,
        mailbox: EventSink,
        open_credentials: Callable[[], CredentialsChannel],
        session_factory: SessionFactory,
        workplace: "Workplace | None",
        remote: RemoteHome | None = None,
    ) -> None:
        self._operation = operation
        self._id = operation.conversation_id
        self._home = spec.codex_home
        self._runtime_directory = spec.runtime_directory
        self._reader = Reader(spec.codex_home, spec.runtime_directory)
        self._mailbox = mailbox
        self._open_credentials = open_credentials
        self._session_factory = session_factory
        self._workplace = workplace
        self._remote = remote

    def build(
        self, cli: Sequence[str], overrides: ConversationOverrides, closing: AsyncExitStack
    ) -> OpenedConversation:
        """Return the conversation. Its parts are closed by `closing` if that fails, and else by the conversation."""
        resumed = self._resumed()
        sources = self._settings(cli, overrides, resumed)
        settings = sources.value
        instructions = _instructions(settings, resumed)
        shared = self._shared(settings, self._session_file(sources, instructions, resumed), resumed)
        turn, transcript = shared.turn, shared.transcript
        closing.callback(shared.recorder.close)
        if resumed is not None:
            resumed.close_interrupted_turn(transcript)

        credentials = ProviderCredentials(settings.provider, self._open_credentials)
        approvals = PendingApprovals(shared.notices)
        host = ConversationToolHost(
            transcript, approvals, shared.notices, shared.timings, keeps_rules=self._remote is None
        )
        mcp = _mcp_toolset(shared, credentials, host) if settings.mcp_servers else None
        goal = GoalKeeper(self._id, turn, transcript, None if resumed is None else resumed.restored.goal)
        tools = ConversationTools(
            turn, host, shared.recorder, self._id, self._runtime_directory, mcp, shared.timings, goal
        )
        requests = RequestBuilder(self._id, instructions, turn, mcp, lambda: goal.tools)
        model = ModelConnection(settings, self._operation, credentials, self._session_factory, shared.timings)
        closing.push_async_callback(model.close)
        shared.tokens.account_limits = lambda: model.account_limits
        host.reviewer = ApprovalReviewer(model, requests, transcript, turn, shared.tokens)

        has_context = resumed is not None and resumed.restored.context is not None
        context = InitialContext(self._reader, turn, transcript, is_present=has_context)
        message_history = self._message_history(settings, closing)
        user_input = UserInput(self._reader, turn, transcript, requests, context, message_history)
        steering = SteeringQueue(turn, user_input, shared.notices)
        responses = ResponseReader(
            model, requests, transcript, self._mailbox, show_raw_reasoning=settings.show_raw_agent_reasoning
        )
        compaction = _compaction(shared, model, requests, 0 if resumed is None else resumed.restored.window_number)
        injected = InjectedItems(transcript)
        loop = TurnLoop(responses, transcript, tools, steering, compaction, shared.tokens, injected, goal)
        report = TurnReport(turn, transcript, shared.recorder, shared.steps, self._notifier(settings, closing))
        turns = TurnRunner(turn, sources, user_input, tools, loop, report, goal)
        closing.push_async_callback(tools.close)
        closing.callback(shared.steps.stop)

        if self._operation.keep:
            shared.recorder.begin()
        return OpenedConversation(
            settings=settings,
            configured=self._announce(shared, goal),
            title=None if resumed is None else resumed.restored.title,
            turns=turns,
            steering=steering,
            injected=injected,
            goal=goal,
            approvals=approvals,
            tools=tools,
            recorder=shared.recorder,
            turn=turn,
            steps=shared.steps,
            timings=shared.timings,
            tokens=shared.tokens,
            ledger=_ledger(shared, resumed),
            emitter=transcript.emitter,
            model=model,
            worktree=None if self._workplace is None else self._workplace.own_worktree,
            closing=closing.pop_all(),
        )

    def _resumed(self) -> ResumedSession | None:
        if self._remote is not None:
            return self._remote.resumed(self._operation)
        return resumed_session(self._operation, self._home, self._reader)

    def _settings(
        self, cli: Sequence[str], overrides: ConversationOverrides, resumed: ResumedSession | None
    ) -> ConversationSettings:
        names_cwd = overrides.cwd is not None
        if resumed is not None:
            overrides = resumed_settings(overrides, resumed.restored)
        remote = self._remote
        if remote is not None:
            overrides = msgspec.structs.replace(
                overrides, cwd=remote.directory(overrides.cwd or remote.parts.default_cwd)
            )
        settings = ConversationSettings(self._home, cli, overrides, None if remote is None else remote.paths)
        if names_cwd:
            require_directory(settings.value.cwd, "cwd")
        return settings

    def _session_file(
        self, sources: ConversationSettings, instructions: str, resumed: ResumedSession | None
    ) -> SessionWriter:
        settings, overrides = sources.value, sources.overrides
        if self._operation.ephemeral:
            return UnsavedFile(self._home, self._id)
        if resumed is not None:
            if self._remote is not None:
                return self._remote.writer(None, resumed)
            return SessionFile.resume(self._home, resumed.path, self._id)
        started = time.time() if self._remote is None else self._remote.parts.started
        meta = session_meta(
            conversation_id=self._id,
            started=started,
            cwd=settings.cwd,
            originator=originator(os.environ),
            cli_version=__version__,
            model_provider=settings.provider_id,
            base_instructions=instructions,
            model=settings.model if settings.base_instructions is None else None,
            source=overrides.source,
            thread_source=overrides.thread_source,
        )
        if self._remote is not None:
            return self._remote.writer(meta, None)
        return SessionFile.create(self._home, self._id, meta, started)

    def _shared(self, settings: Settings, file: SessionWriter, resumed: ResumedSession | None) -> _Shared:
        turn = CurrentTurn(settings)
        notices = ConversationNotices(self._mailbox, self._operation, turn)
        window = settings.model_family.effective_context_window
        tokens = TokenCounter(window, None if resumed is None else resumed.usage)
        steps = StepReporter(notices.step, tokens)
        timings = TurnTimings(lambda: Subject(turn.settings.model, turn.settings.provider_id))

        def warn(text: str) -> None:
            emitter.emit_now(event.warning(text))

        def observe(emitted: Event) -> None:
            if isinstance(emitted, ItemCompleted):  # files of later releases store items in place of flat events
                recorder.event(emitted)
            else:
                steps.take(emitted)

        recorder = SessionRecorder(file, warn)
        emitter = EventEmitter(self._mailbox, self._id, settings.event_form, observe)
        history = History(() if resumed is None else resumed.restored.items)
        return _Shared(
            settings, turn, notices, tokens, steps, timings, recorder, Transcript(history, recorder, emitter)
        )

    def _message_history(self, settings: Settings, closing: AsyncExitStack) -> "MessageHistory | None":
        if not settings.history.wanted or self._remote is not None:  # the history of inputs is a file at home
            return None
        from greenroom.sessions.history_file import MessageHistory

        history = MessageHistory(self._home, self._id, settings.history.max_bytes)
        closing.push_async_callback(history.close)
        return history

    def _notifier(self, settings: Settings, closing: AsyncExitStack) -> "Notifier | None":
        if not settings.notify:
            return None
        from greenroom.workers.conversation.notifier import Notifier

        own = OWN_VARIABLES.keys()
        environment = {name: value for name, value in os.environ.items() if name not in own}
        notifier = Notifier(self._id, settings.notify, environment)
        closing.push_async_callback(notifier.close)
        return notifier

    def _announce(self, shared: _Shared, goal: GoalKeeper) -> bytes:
        """Emit the first events, and return the one that describes the conversation."""
        settings, transcript = shared.settings, shared.transcript
        configured = event.session_configured(self._id, settings, shared.recorder.path)
        transcript.emit_now(configured)
        if not settings.mcp_servers:
            transcript.emit_now(event.no_mcp_servers(settings.faulty_mcp_servers))
        for warning in settings.warnings:
            log.warning("%s", warning)
            transcript.warn(warning)
        for warning in missing_directories(settings):
            transcript.warn(warning)
        if self._operation.ephemeral and self._operation.incarnation > 1:
            transcript.warn(LOST)
        if self._workplace is not None:
            transcript.emit_now(BackgroundEvent(message=self._workplace.text))
            for note in self._workplace.notes:
                transcript.warn(note)
        goal.announce()
        return event.encode(configured)


def missing_directories(settings: Settings) -> Iterator[str]:
    """Yield a warning for each directory that the settings name and that does not exist.

    The directory that the call itself names is required to exist.
    """
    if not os.path.isdir(settings.cwd):
        yield f"The conversation's directory {settings.cwd} does not exist any more: commands cannot start."
    policy = settings.sandbox_policy
    for root in policy.writable_roots if policy.type == "workspace-write" else ():
        if not os.path.lexists(root):
            yield f"The writable root {root} does not exist: until it exists nothing can be written there."


def _instructions(settings: Settings, resumed: ResumedSession | None) -> str:
    restored = None if resumed is None else resumed.restored.base_instructions
    return settings.base_instructions or restored or base_instructions()


def _ledger(shared: _Shared, resumed: ResumedSession | None) -> "Ledger | None":
    """Return what counts the money of the conversation, where the settings say what models cost."""
    if not shared.settings.prices:
        return None
    from greenroom.workers.conversation.usage.ledger import Ledger

    ledger = Ledger(shared.settings.prices, {} if resumed is None else resumed.usage_by_model)
    shared.tokens.on_usage = lambda usage: ledger.add(shared.turn.settings.model, usage)
    return ledger


def _mcp_toolset(shared: _Shared, credentials: ProviderCredentials, host: ConversationToolHost) -> "McpToolset":
    from greenroom.workers.mcp.toolset import McpToolset

    return McpToolset(shared.turn, credentials, host.ask, shared.transcript.emitter.emit)


def _compaction(shared: _Shared, model: ModelConnection, requests: RequestBuilder, window_number: int) -> Compaction:
    settings, transcript = shared.settings, shared.transcript
    prompt = settings.compact_prompt or compaction_prompt()
    return Compaction(
        Summarizer(model, requests.encoder_without_tools(), transcript, prompt),
        transcript,
        shared.tokens,
        shared.turn,
        limit=settings.model_family.auto_compact_limit,
        window_number=window_number,
    )

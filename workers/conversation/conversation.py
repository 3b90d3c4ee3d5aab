"""One conversation as its worker hosts it: opened once, then one turn after the other."""

import logging
import os
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from greenroom.config.defaults import DELTA_WINDOW, QUIET_WINDOW
from greenroom.config.paths import require_directory
from greenroom.config.reader import Reader
from greenroom.config.settings import ConversationOverrides, Settings, resolve
from greenroom.config.texts import base_instructions, compaction_prompt
from greenroom.protocol.errors import ConfigError, ModelError, PromptTooLongError, SessionUnknownError, StartError
from greenroom.protocol.ids import BEFORE_TURNS, TurnId
from greenroom.protocol.internal.process import WorkerSpec
from greenroom.protocol.internal.worker import (
    AskUser,
    CommandsEnded,
    HelperLost,
    Open,
    OwnZygote,
    Steer,
    Steered,
    Step,
    TurnSettings,
)
from greenroom.protocol.items import JsonObject
from greenroom.protocol.mcp.elicitation import Decision
from greenroom.protocol.version import __version__
from greenroom.runtime.spawn import OWN_VARIABLES
from greenroom.runtime.user_agent import originator
from greenroom.sessions.file import SessionFile, read
from greenroom.sessions.finder import find
from greenroom.sessions.format import SessionRecord, session_meta, turn_context
from greenroom.sessions.restored import Restored
from greenroom.workers.conversation import event, prompt
from greenroom.workers.conversation.compaction import Compaction, is_context
from greenroom.workers.conversation.context import context_items
from greenroom.workers.conversation.event_emitter import EventEmitter
from greenroom.workers.conversation.history import History
from greenroom.workers.conversation.message_limit import check_length
from greenroom.workers.conversation.pending_approvals import PendingApprovals
from greenroom.workers.conversation.project_doc import Search, read_project_doc
from greenroom.workers.conversation.request_builder import RequestBuilder
from greenroom.workers.conversation.session_recorder import SessionRecorder
from greenroom.workers.conversation.step_reporter import StepReporter
from greenroom.workers.conversation.tokens import TokenCounter
from greenroom.workers.conversation.turn import MAKING_ROOM, ToolResult, TurnLoop, TurnOutcome
from greenroom.workers.conversation.turn_settings import for_turn
from greenroom.workers.event_sink import Outlet
from greenroom.workers.model.access import model_client
from greenroom.workers.model.bearer import ProviderCredentials
from greenroom.workers.model.client import ModelClient, SessionFactory, new_session
from greenroom.workers.model.credentials_channel import CredentialsChannel
from greenroom.workers.model.outcome import error_info
from greenroom.workers.model.responses import Usage

if TYPE_CHECKING:
    from greenroom.sessions.history_file import MessageHistory
    from greenroom.workers.conversation.notifier import Notifier
    from greenroom.workers.mcp.toolset import McpToolset
    from greenroom.workers.sandbox.launcher import Loss
    from greenroom.workers.tools.toolbox import Toolbox

log = logging.getLogger(__name__)

INTERRUPTED = "interrupted"
"""Why a turn ended that was stopped on purpose."""
UNKNOWN_EFFECT = "interrupted; it is not known whether this took effect"
"""What the model reads as the output of a call during which its process died."""


class _Opening(msgspec.Struct, frozen=True):
    cli: list[str]
    call: msgspec.Raw


_decode_opening = msgspec.json.Decoder(_Opening).decode
_decode_items = msgspec.json.Decoder(list[JsonObject]).decode


class Conversation:
    """Belongs to one worker. `open` it first; run one turn at a time; `close` it at the end."""

    def __init__(
        self,
        operation: Open,
        spec: WorkerSpec,
        mailbox: Outlet,
        open_credentials: Callable[[], CredentialsChannel],
        session_factory: SessionFactory = new_session,
    ) -> None:
        self._operation = operation
        self._home = spec.codex_home
        self._runtime_directory = spec.runtime_directory
        self._reader = Reader(spec.codex_home, spec.runtime_directory)
        self._mailbox = mailbox
        self._open_credentials = open_credentials
        self._session_factory = session_factory
        self._toolbox: Toolbox | None = None
        self._mcp_toolset: McpToolset | None = None
        self._questions = PendingApprovals(self._send_question)
        self._turn_id = BEFORE_TURNS
        self._steps = StepReporter(self._send_step, lambda: self.tokens_used)
        self._history = History()
        self._context_told = False
        self._title: str | None = None
        self._loop: TurnLoop | None = None
        self._started_at = 0.0
        self.settings: Settings
        self._now: Settings
        """What the running turn goes by."""
        self._form: RequestBuilder
        self._input: deque[tuple[Steer, bytes]] = deque()
        self.configured = b""
        """The event that announced the conversation."""
        self._client: ModelClient | None = None
        self._delta_window = DELTA_WINDOW
        self._compaction: Compaction | None = None
        self._is_compacting = False
        """Whether the turn that runs, or was the last, does nothing else."""
        self._window_number = 0
        self._transcript: SessionRecorder | None = None
        self._notifier: Notifier | None = None
        self._message_history: MessageHistory | None = None
        self._said: list[str] = []
        """What the user said in the turn that runs or was the last."""

    @property
    def doing(self) -> str:
        """What the running turn does at the moment, in words."""
        if self._is_compacting:
            return MAKING_ROOM
        if self._mcp_toolset is not None and self._mcp_toolset.is_waiting:
            return "waiting for MCP servers to start"
        return "starting" if self._loop is None else self._loop.doing

    @property
    def step(self) -> str:
        """What the running turn is in the middle of, in words for its client; empty where no tool runs."""
        return self._steps.present if self._loop is not None and self._loop.runs_tool else ""

    @property
    def tokens_used(self) -> int:
        """Tokens of all responses so far."""
        return self._tokens.total.total_tokens

    @property
    def title(self) -> str | None:
        """How the conversation began, if it is an older one."""
        return self._title

    @property
    def sandbox_limits(self) -> tuple[str, ...]:
        """What the sandbox of its commands does not hold here, or holds at a price, as far as one has run."""
        return () if self._toolbox is None else self._toolbox.sandbox_limits

    @property
    def own_zygote(self) -> OwnZygote | None:
        """The process that starts its commands, where it is this worker's own."""
        zygote = None if self._toolbox is None else self._toolbox.zygote
        if zygote is None or zygote.is_shared:
            return None
        return OwnZygote(pid=zygote.pid, restarts=zygote.restarts)

    @property
    def open_commands(self) -> int:
        """How many commands go on."""
        return 0 if self._toolbox is None else self._toolbox.open_commands.statistics().running

    @property
    def session_path(self) -> str:
        """Where the conversation is saved."""
        return "" if self._transcript is None else self._transcript.path

    @property
    def save_fault(self) -> str | None:
        """Why something that was said is not on disk, if so."""
        return None if self._transcript is None else self._transcript.fault

    async def open(self, overrides: bytes) -> None:
        """Resolve the settings, find the session file, and announce the conversation. Raises `GreenroomError`."""
        opening = _decode_opening(overrides)
        given = ConversationOverrides.from_json(bytes(opening.call))
        is_cwd_named = given.cwd is not None
        restored, path = self._restore()
        if restored is not None:
            given = _as_before(given, restored)
        self._given = opening.cli, given
        self.settings = self._now = settings = resolve(self._home, opening.cli, given, os.getcwd(), os.environ)
        if is_cwd_named:
            require_directory(settings.cwd, "cwd")
        self._instructions = settings.base_instructions or base_instructions()
        if restored is not None:
            self._instructions = settings.base_instructions or restored.base_instructions or self._instructions
        self._announcer = EventEmitter(
            self._mailbox, self._operation.conversation_id, settings.event_form, self._take_event
        )
        self._transcript = SessionRecorder(self._session_file(path), self._warn)
        usage = restored.usage if restored is not None else None
        self._tokens = TokenCounter(settings.model_family.effective_context_window, _usage(usage))
        if restored is not None:
            self._take_up(restored)
        self._credentials = ProviderCredentials(settings.provider, self._open_credentials)
        if settings.mcp_servers:
            self._mcp_toolset = self._make_mcp_toolset()
        self._form = RequestBuilder(
            settings.provider.wire_api,
            self._operation.conversation_id,
            self._instructions,
            lambda: self._now,
            self._mcp_toolset,
        )
        self._open_side_lines()
        if self._operation.keep:
            self._transcript.begin()
        self._announce()
        self._warn_of_missing_directories()

    async def run_turn(self, turn_id: TurnId, items: bytes, wanted: TurnSettings | None = None) -> TurnOutcome:
        """Run one turn to its end. Cancel it to stop it, and then call `abandon_turn`."""
        transcript = self._present_transcript()
        fault = self._go_by(wanted)
        self._begin(turn_id, compacts=False)
        if fault is not None:
            return self._end_in_error(
                turn_id, TurnOutcome("failed", error_kind=fault.kind, message=str(fault)), "other"
            )
        if self._toolbox is not None:
            await self._toolbox.begin_turn()
        self._tell_context()
        self._said.clear()
        message = prompt.user_message(_decode_items(items), self._read_image)
        try:
            self._check_length(message)
            await self._take_message(items, message)
            self._loop = loop = await self._turn_loop(turn_id)
            transcript.write_soon()
            last = await loop.run()
        except (ModelError, StartError, PromptTooLongError) as error:
            return self._fail(turn_id, error)
        return self._complete(turn_id, last)

    def select_events(self, deltas: bool) -> None:
        """Send pieces of texts, or make none while no client gets them; the model is then read less often."""
        self._announcer.wants_deltas = deltas
        self._delta_window = self.settings.delta_window if deltas else QUIET_WINDOW
        if self._client is not None:
            self._client.delta_window = self._delta_window

    def steer(self, operation: Steer, items: bytes) -> None:
        """Take further input for the running turn; it reads it before its next request."""
        self._input.append((operation, items))

    async def compact(self, turn_id: TurnId) -> TurnOutcome:
        """Put a summary in the place of what was said so far. Cancel it to stop it, as a turn; nothing changes then."""
        self._go_by(None)
        self._begin(turn_id, compacts=True)
        try:
            compaction = await self._present_compaction()
            self._credentials.begin_turn()
            if len(self._history):
                await compaction.run()
        except ModelError as error:
            return self._fail(turn_id, error)
        self._end(turn_id, None)
        return self._saved(TurnOutcome("completed"))

    def abandon_turn(self, turn_id: TurnId) -> TurnOutcome:
        """Close a turn that was cancelled."""
        self._leave_commands_alone()
        self._close_loop("aborted by user")
        if not self._is_compacting:
            self._keep(prompt.turn_aborted_message())
        self._tell(
            event.turn_aborted(turn_id, INTERRUPTED, round(self._started_at), time.time() - self._started_at), keep=True
        )
        self._present_transcript().save()
        return TurnOutcome("aborted", message=INTERRUPTED)

    def break_turn(self, turn_id: TurnId, error: BaseException) -> TurnOutcome:
        """Close a turn that a fault of ours ended."""
        self._close_loop(UNKNOWN_EFFECT)
        text = f"Codex runtime error: internal error ({type(error).__name__}); the log on standard error has more"
        return self._end_in_error(turn_id, TurnOutcome("failed", error_kind="internal", message=text), "other")

    def settle(self, question_id: int, decision: Decision) -> None:
        """Take the user's decision on a question."""
        self._questions.settle(question_id, decision)

    def kill_commands(self) -> None:
        """Kill whatever the conversation's commands left running."""
        if self._toolbox is not None:
            self._toolbox.kill_all()
        if self._mcp_toolset is not None:
            self._mcp_toolset.kill_all()

    async def close(self) -> None:
        """End every process of the conversation, and save what is not saved yet."""
        self._steps.stop()
        if self._toolbox is not None:
            await self._toolbox.close()
        if self._mcp_toolset is not None:
            await self._mcp_toolset.close()
        if self._notifier is not None:
            await self._notifier.close()
        if self._message_history is not None:
            await self._message_history.close()
        if self._client is not None:
            await self._client.aclose()
        if self._transcript is not None:
            self._transcript.close()

    # Opening

    def _restore(self) -> tuple[Restored, str] | tuple[None, None]:
        if self._operation.resume == "no":
            return None, None
        path = self._operation.path or find(self._home, self._operation.conversation_id)
        if path is not None:
            path = os.path.realpath(path)  # what was read is what is written to, though its name may be linked anew
            return read(self._reader, path), path
        if self._operation.resume == "must":
            raise SessionUnknownError(f"no conversation with id: {self._operation.conversation_id}")
        return None, None

    def _session_file(self, path: str | None) -> SessionFile:
        conversation_id, started = self._operation.conversation_id, time.time()
        if path is not None:
            return SessionFile.resume(self._home, path, conversation_id)
        settings = self.settings
        meta = session_meta(
            conversation_id=conversation_id,
            started=started,
            cwd=settings.cwd,
            originator=originator(os.environ),
            cli_version=__version__,
            model_provider=settings.provider_id,
            base_instructions=self._instructions,
            model=settings.model if settings.base_instructions is None else None,
        )
        return SessionFile.create(self._home, conversation_id, meta, started)

    def _take_up(self, restored: Restored) -> None:
        """Go on where the file stops. What was under way then is over, and the model is told so."""
        self._history.extend(restored.items)
        self._context_told = restored.context is not None
        self._title = restored.title
        self._window_number = restored.window_number
        if not restored.interrupted:
            return
        for output in self._history.outputs_for_unanswered(UNKNOWN_EFFECT):
            self._keep(output)
        self._keep(prompt.turn_aborted_message())

    def _open_side_lines(self) -> None:
        """Make ready what else is to hear of the turns, if anything."""
        settings = self.settings
        if settings.notify:
            from greenroom.workers.conversation.notifier import Notifier

            own = OWN_VARIABLES.keys()
            environment = {name: value for name, value in os.environ.items() if name not in own}
            self._notifier = Notifier(settings.notify, environment)
        if settings.history.wanted:
            from greenroom.sessions.history_file import MessageHistory

            self._message_history = MessageHistory(
                self._home, self._operation.conversation_id, settings.history.max_bytes
            )

    def _make_mcp_toolset(self) -> "McpToolset":
        from greenroom.workers.mcp.toolset import McpToolset

        return McpToolset(
            self.settings,
            lambda: self._now,
            self._credentials.variables,
            self._questions.ask,
            self._announcer.emit,
            lambda: self._turn_id,
            self._credentials.mcp_bearer,
        )

    def _present_toolbox(self) -> "Toolbox":
        if self._toolbox is None:
            from greenroom.sessions.cleanup_journal import CleanupJournal
            from greenroom.workers.tools.toolbox_factory import build_toolbox

            self._toolbox = build_toolbox(
                self._now,
                self._operation.conversation_id,
                self._runtime_directory,
                self._questions.ask,
                self._emit,
                self._commands_ended,
                CleanupJournal(lambda: self._present_transcript().lock),
                self._tell_loss,
            )
        return self._toolbox

    def _tell_loss(self, loss: "Loss") -> None:
        self._mailbox.notify(
            HelperLost(
                role=loss.role,
                pid=loss.pid,
                is_shared=loss.is_shared,
                returncode=loss.returncode,
                max_rss=loss.max_rss,
                cause=loss.cause,
            )
        )

    def _announce(self) -> None:
        settings = self.settings
        told = event.session_configured(
            self._operation.conversation_id,
            settings.model,
            settings.provider_id,
            settings.approval_policy,
            msgspec.to_builtins(settings.sandbox_policy),
            settings.cwd,
            settings.reasoning_effort,
            self.session_path,
        )
        self.configured = event.encode(told)
        self._tell(told)
        if not settings.mcp_servers:
            self._tell(event.no_mcp_servers(settings.faulty_mcp_servers))
        for warning in settings.warnings:
            log.warning("%s", warning)
            self._warn(warning)

    def _warn_of_missing_directories(self) -> None:
        """Tell of directories that the settings name and that are not there; nobody has named them in this call."""
        settings = self.settings
        if not os.path.isdir(settings.cwd):
            self._warn(f"The conversation's directory {settings.cwd} does not exist any more: commands cannot start.")
        policy = settings.sandbox_policy
        for root in policy.writable_roots if policy.type == "workspace-write" else ():
            if not os.path.lexists(root):
                self._warn(f"The writable root {root} does not exist: as long as that is so nobody can write there.")

    # A turn

    def _begin(self, turn_id: TurnId, *, compacts: bool) -> None:
        self._started_at = time.time()
        self._turn_id = turn_id
        self._history.begin_turn()
        self._steps.begin_turn()
        self._loop = None
        self._is_compacting = compacts
        self._announcer.begin_turn(turn_id)
        self._tell(
            event.task_started(turn_id, round(self._started_at), self._now.model_family.effective_context_window),
            keep=True,
        )

    def _go_by(self, wanted: TurnSettings | None) -> ConfigError | None:
        """Take the settings of a turn as the present ones, or return what is wrong with them."""
        try:
            present = self.settings if wanted is None else for_turn(self.settings, wanted, self._with_model)
        except ConfigError as error:
            return error
        if present != self._now:
            self._now = present
            if self._toolbox is not None:
                from greenroom.workers.tools.toolbox_factory import workplace

                self._toolbox.move(workplace(present, self._operation.conversation_id, self._runtime_directory))
        return None

    def _with_model(self, model: str) -> Settings:
        cli, given = self._given
        return resolve(self._home, cli, msgspec.structs.replace(given, model=model), os.getcwd(), os.environ)

    async def _take_message(self, items: bytes, message: JsonObject) -> None:
        self._keep(message, self._history.append_input)
        text = _plain_text(_decode_items(items))
        self._said.append(text)
        self._tell(event.user_message(text), keep=True)
        if self._message_history is not None:
            await self._message_history.add(text)

    async def _take_input(self) -> bool:
        """Take what the user has said to the running turn. What came for an earlier one is no longer for us.

        A message that does not fit beside the turn's earlier ones waits, with those behind it, for a turn of its own.
        """
        taken = False
        while self._input:
            operation, items = self._input[0]
            if operation.turn_id == self._turn_id:
                message = prompt.user_message(_decode_items(items), self._read_image)
                if not self._fits(message):
                    return taken
                taken = True
                await self._take_message(items, message)
                self._mailbox.notify(
                    Steered(
                        conversation_id=operation.conversation_id,
                        incarnation=operation.incarnation,
                        input_id=operation.input_id,
                    )
                )
            self._input.popleft()
        return taken

    def _check_length(self, message: JsonObject) -> None:
        """Raise `PromptTooLongError` for a message that cannot fit beside what must stay in the model's context."""
        inputs = self._history.inputs
        said = {id(entry) for entry in inputs}
        context = {entry.encoded for entry in self._history if is_context(entry) and id(entry) not in said}
        fixed = self._form.size + sum(map(len, context))
        check_length(message, self._now.model_family, fixed, (entry.item for entry in inputs))

    def _fits(self, message: JsonObject) -> bool:
        try:
            self._check_length(message)
        except PromptTooLongError:
            return False
        return True

    def _tell_context(self) -> None:
        """Put the context before the first message of the conversation, and nothing of it before later ones."""
        if self._context_told:
            return
        settings = self._now
        search = Search(
            max_bytes=settings.project_doc_max_bytes,
            fallback_names=settings.project_doc_fallback_filenames,
            root_markers=settings.project_root_markers,
        )
        document = read_project_doc(self._reader, settings.home, settings.cwd, search)
        for note in document.notes:
            self._warn(note)
        for item in context_items(settings, document):
            self._keep(item)
        self._present_transcript().add(self._turn_context())
        self._context_told = True

    def _turn_context(self) -> SessionRecord:
        settings = self._now
        return turn_context(
            turn_id=self._turn_id,
            cwd=settings.cwd,
            model=settings.model,
            approval_policy=settings.approval_policy,
            sandbox_policy=msgspec.to_builtins(settings.sandbox_policy),
            effort=settings.reasoning_effort,
        )

    async def _turn_loop(self, turn_id: TurnId) -> TurnLoop:
        compaction = await self._present_compaction()
        self._credentials.begin_turn()

        async def call_tool(call: JsonObject) -> ToolResult:
            if self._mcp_toolset is not None and self._mcp_toolset.has(call):
                return await self._mcp_toolset.call(call, self._emit)
            return await self._present_toolbox().call(turn_id, call)

        async def tell_diff() -> None:
            if self._toolbox is not None:
                await self._toolbox.tell_diff(turn_id)

        return TurnLoop(
            await self._present_client(),
            self._form.encoder,
            self._history,
            self._present_transcript(),
            self._mailbox,
            self._announcer,
            call_tool,
            self._tokens,
            compaction,
            self.settings.show_raw_agent_reasoning,
            self._take_input,
            tell_diff,
        )

    async def _present_client(self) -> ModelClient:
        if self._client is None:
            self._client = await model_client(
                self.settings,
                self._operation.conversation_id,
                self._operation.user_agent,
                self._credentials,
                self._session_factory,
            )
            self._client.delta_window = self._delta_window
        return self._client

    async def _present_compaction(self) -> Compaction:
        if self._compaction is None:
            self._compaction = self._new_compaction(await self._present_client())
        return self._compaction

    def _new_compaction(self, client: ModelClient) -> Compaction:
        settings = self.settings
        return Compaction(
            client,
            self._form.encoder_without_tools(),
            self._history,
            self._tokens,
            self._tell,
            self._record_compaction,
            prompt=settings.compact_prompt or compaction_prompt(),
            limit=settings.model_family.auto_compact_limit,
            window_number=self._window_number,
        )

    def _record_compaction(self, record: SessionRecord) -> None:
        """Record a new history, and that it tells the model of the present settings."""
        self._present_transcript().add(record, self._turn_context())

    def _complete(self, turn_id: TurnId, last: str | None) -> TurnOutcome:
        self._end(turn_id, last)
        if self._notifier is not None:
            self._notifier.turn_ended(self._operation.conversation_id, turn_id, self._now.cwd, self._said, last)
        return self._saved(TurnOutcome("completed", last_message=event.encode(last or "")))

    def _saved(self, outcome: TurnOutcome) -> TurnOutcome:
        """Return how a turn has ended: not quite well where it is not on disk."""
        if self.save_fault is None:
            return outcome
        if outcome.kind == "failed":
            text = f"{outcome.message} The conversation cannot be saved either: {self.save_fault}."
            return replace(outcome, message=text)
        text = (
            f"The turn is complete, but the conversation cannot be saved to {self.session_path}: {self.save_fault}. It "
            "goes on as long as this server runs; once the file can be written again, the next turn saves all of it."
        )
        return TurnOutcome("failed", outcome.last_message, "session_unsaved", text)

    def _fail(self, turn_id: TurnId, error: ModelError | StartError | PromptTooLongError) -> TurnOutcome:
        outcome = TurnOutcome("failed", error_kind=error.kind, message=str(error), facts=error.facts)
        return self._end_in_error(turn_id, outcome, error_info(error))

    def _end_in_error(self, turn_id: TurnId, outcome: TurnOutcome, info: object) -> TurnOutcome:
        failure = event.error(outcome.message, info)
        self._tell(failure)
        self._end(turn_id, None, failure)
        return self._saved(outcome)

    def _end(self, turn_id: TurnId, last: str | None, failure: JsonObject | None = None) -> None:
        """Say that the turn is over, once it is safe on disk."""
        self._leave_commands_alone()
        duration = time.time() - self._started_at
        heard_at = None if self._loop is None else self._loop.heard_at
        first_token_after = None if heard_at is None else heard_at - self._started_at
        told = event.task_complete(turn_id, last, round(self._started_at), duration, first_token_after, failure)
        transcript = self._present_transcript()
        transcript.event(told)
        transcript.save()
        self._tell(told)

    def _leave_commands_alone(self) -> None:
        if self._toolbox is not None:
            self._toolbox.end_turn()

    def _close_loop(self, output: str) -> None:
        if self._loop is not None:
            self._loop.close(output)

    # Small services

    def _read_image(self, path: str) -> bytes:
        """Read an image that the client names, from the conversation's directory where its path is relative."""
        return self._reader.read(os.path.join(self._now.cwd, path))

    def _keep(self, item: JsonObject, append: Callable[[JsonObject], bool] | None = None) -> None:
        if (append or self._history.append)(item):
            self._present_transcript().item(item)
            self._announcer.raw_item(item)

    def _tell(self, told: JsonObject, keep: bool = False) -> None:
        self._announcer.tell(told)
        if keep:
            self._present_transcript().event(told)

    def _take_event(self, told: JsonObject) -> None:
        """Take what was told: show the step, and keep the item where the session file is one of items."""
        if told["type"] == "item_completed":
            self._present_transcript().event(told)
        else:
            self._steps.take(told)

    def _emit(self, told: JsonObject) -> Awaitable[None] | None:
        """Tell what a tool does, and keep of it what files keep."""
        self._present_transcript().event(told)
        return self._announcer.emit(told)

    def _send_question(self, question_id: int, question: bytes) -> None:
        operation = self._operation
        self._mailbox.notify(
            AskUser(
                conversation_id=operation.conversation_id,
                incarnation=operation.incarnation,
                turn_id=self._turn_id,
                question_id=question_id,
            ),
            self._announcer.formed(question),
        )

    def _send_step(self, text: str) -> None:
        operation = self._operation
        if not self._mailbox.pressed:
            self._mailbox.notify(
                Step(
                    conversation_id=operation.conversation_id,
                    incarnation=operation.incarnation,
                    turn_id=self._turn_id,
                    text=text,
                )
            )

    def _commands_ended(self) -> None:
        operation = self._operation
        self._mailbox.notify(
            CommandsEnded(conversation_id=operation.conversation_id, incarnation=operation.incarnation)
        )

    def _warn(self, text: str) -> None:
        self._tell({"type": "warning", "message": text})

    def _present_transcript(self) -> SessionRecorder:
        assert self._transcript is not None, "the conversation is not open"
        return self._transcript


def _as_before(given: ConversationOverrides, restored: Restored) -> ConversationOverrides:
    """Fill what the caller left open with what the conversation went by when it stopped."""
    context = restored.context or {}
    policy = context.get("sandbox_policy")
    before = {
        "cwd": restored.cwd,
        "model": restored.model,
        "approval_policy": context.get("approval_policy"),
        "sandbox_mode": policy.get("type") if isinstance(policy, dict) else None,
    }
    missing = {name: value for name, value in before.items() if value is not None and getattr(given, name) is None}
    return msgspec.structs.replace(given, **missing)


def _usage(totals: dict[str, int] | None) -> Usage | None:
    if totals is None:
        return None
    return Usage(**{name: int(totals.get(name, 0)) for name in Usage.__struct_fields__})


def _plain_text(items: list[JsonObject]) -> str:
    return "\n".join(str(item["text"]) for item in items if item.get("type") == "text" and "text" in item)

"""The front end of one run in a host: the run has handed its turn over, and writes what it is sent."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from greenroom.protocol.failure import Failure
from greenroom.protocol.version import __version__
from greenroom.runtime.originator import ORIGINATOR
from greenroom.runtime.user_agent import user_agent
from greenroom.supervisor.frontend.client_channel import ClientChannel, Write
from greenroom.supervisor.frontend.exec.event_lines import EventLines
from greenroom.supervisor.frontend.exec.front import ExecFront
from greenroom.supervisor.frontend.exec.handover import LONGEST, Handover, RunOutcome, ending_line
from greenroom.supervisor.frontend.exec.report_text import ReportText

if TYPE_CHECKING:
    from greenroom.protocol.report import ClientEntry
    from greenroom.supervisor.conversations.host import ConversationHost


class HostedExecFront:
    """Implements `greenroom.supervisor.frontend.connection.FrontEnd`."""

    def __init__(self, write: Write, environment: Mapping[str, str]) -> None:
        self.channel = ClientChannel(write, self._user_agent)
        self._environment = dict(environment)
        self._received = b""
        self._run: ExecFront | None = None
        self._host: ConversationHost | None = None

    @property
    def client(self) -> "ClientEntry | None":
        """The client, for status."""
        return None if self._run is None else self._run.client

    @property
    def open_calls(self) -> int:
        """Number of turns that have not ended."""
        return 0 if self._run is None else self._run.open_calls

    def receive(self, data: bytes) -> None:
        """Take the handover; what follows it is ignored."""
        if self._run is not None:
            return
        self._received += data
        line, newline, _ = self._received.partition(b"\n")
        if not newline and len(line) <= LONGEST:
            return
        self._received = b""
        try:
            handover = msgspec.json.decode(line, type=Handover)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self._end(RunOutcome(error="the run handed over something that this host does not understand"))
            return
        self._run = self._make(handover)
        self._begin()

    def receive_end(self) -> None:
        """Handle the end of the client: the connection ends its turn."""

    def attach(self, host: "ConversationHost") -> None:
        """Begin the turn, if there is one already."""
        self._host = host
        self._begin()

    async def stop(self, reason: str) -> None:
        """Do nothing: the turn is ended by the conversations."""

    async def close(self) -> None:
        """Do nothing: the turn has ended."""

    def _make(self, handover: Handover) -> ExecFront:
        if handover.originator is not None:
            self._environment[ORIGINATOR] = handover.originator
        narrator = EventLines() if handover.as_lines else ReportText(handover.prompt, colored=handover.colored)
        run = ExecFront(handover.request(), narrator, self._environment, self.channel)
        run.on_finished = lambda: self._finished(run)
        return run

    def _begin(self) -> None:
        if self._host is not None and self._run is not None:
            self._run.attach(self._host)

    def _finished(self, run: ExecFront) -> None:
        outcome = run.outcome
        if isinstance(outcome, Failure):
            self._end(RunOutcome(error=None if run.is_told else outcome.message))
        else:
            self._end(RunOutcome(answer=outcome))

    def _end(self, ending: RunOutcome) -> None:
        self.channel.write(ending_line(ending))

    def _user_agent(self) -> str:
        return user_agent(__version__, self._environment)

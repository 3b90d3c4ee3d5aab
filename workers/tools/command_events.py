"""The events of one command: begin, output, end."""

import base64
from typing import Final

from msgspec import UNSET

from greenroom.protocol.events.command import (
    ExecCommandBegin,
    ExecCommandEnd,
    ExecCommandOutputDelta,
    TerminalInteraction,
)
from greenroom.protocol.events.event import Duration
from greenroom.protocol.internal.jobs import StreamName
from greenroom.workers.clock import now_ms
from greenroom.workers.exec.capture import OutputBudget
from greenroom.workers.exec.command import CAPTURE_SIZE
from greenroom.workers.exec.process import Finished
from greenroom.workers.exec.summary import summarize
from greenroom.workers.tools.types import CommandFacts

NO_EXIT_CODE: Final = -1
"""The exit code if there is none."""
_BUDGET: Final = OutputBudget(CAPTURE_SIZE)


class CommandEvents:
    """The events of one command, to be emitted in order."""

    def __init__(
        self, facts: CommandFacts, budget: OutputBudget, source: str = "agent", process_id: str | None = None
    ) -> None:
        """`budget` limits the text that is formatted as for the model; `process_id` names a command that runs on."""
        self.facts = facts
        """Members of a question to the user, too."""
        self.budget = budget
        self._source = source
        self._process_id = process_id
        self._parts = summarize(facts.command)

    def begin(self) -> ExecCommandBegin:
        """Return the begin event."""
        facts = self.facts
        return ExecCommandBegin(
            turn_id=facts.turn_id,
            started_at_ms=now_ms(),
            call_id=facts.call_id,
            command=list(facts.command),
            cwd=facts.cwd,
            parsed_cmd=self._parts,
            source=self._source,
            process_id=self._process_id or UNSET,
        )

    def output(self, name: StreamName, chunk: bytes) -> ExecCommandOutputDelta:
        """Return the event of output."""
        return ExecCommandOutputDelta(call_id=self.facts.call_id, stream=name, chunk=base64.b64encode(chunk).decode())

    def interaction(self, text: str) -> TerminalInteraction:
        """Return the event of text written to it or, if `text` is empty, of the model reading its output."""
        return TerminalInteraction(call_id=self.facts.call_id, process_id=self._process_id, stdin=text)

    def end(
        self, finished: Finished, exit_code: int, formatted_output: str, fault: str | None = None
    ) -> ExecCommandEnd:
        """Return the end event. `fault` says why it ended, if not by itself."""
        stderr = finished.stderr.render(_BUDGET)
        return self._end(
            exit_code=exit_code,
            stdout=finished.stdout.render(_BUDGET),
            stderr=stderr if fault is None else paragraphs(stderr, fault),
            aggregated_output=finished.aggregated.render(_BUDGET),
            duration=finished.duration,
            formatted_output=formatted_output,
        )

    def failed(self, reason: str) -> ExecCommandEnd:
        """Return the end event of a command that was not run, or whose turn was stopped."""
        return self._end(NO_EXIT_CODE, "", reason, "", 0, reason)

    def _end(
        self, exit_code: int, stdout: str, stderr: str, aggregated_output: str, duration: float, formatted_output: str
    ) -> ExecCommandEnd:
        facts = self.facts
        return ExecCommandEnd(
            turn_id=facts.turn_id,
            completed_at_ms=now_ms(),
            call_id=facts.call_id,
            command=list(facts.command),
            cwd=facts.cwd,
            parsed_cmd=self._parts,
            source=self._source,
            process_id=self._process_id or UNSET,
            stdout=stdout,
            stderr=stderr,
            aggregated_output=aggregated_output,
            exit_code=exit_code,
            duration=Duration.of(duration),
            formatted_output=formatted_output,
            status="completed" if exit_code == 0 else "failed",
        )


def paragraphs(*texts: str) -> str:
    """Join the non-empty texts."""
    return "\n".join(text for text in texts if text)

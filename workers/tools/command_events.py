"""The events of one command: begin, output, end."""

import base64
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from greenroom.protocol.ids import TurnId
from greenroom.protocol.items import JsonObject
from greenroom.workers.exec.capture import OutputBudget
from greenroom.workers.exec.command import CAPTURE_SIZE
from greenroom.workers.exec.pipes import StreamName
from greenroom.workers.exec.process import Finished
from greenroom.workers.exec.summary import summarize

NO_EXIT_CODE: Final = -1
"""The exit code if there is none."""
_BUDGET: Final = OutputBudget(CAPTURE_SIZE)


class CommandEvents:
    """The events of one command, to be emitted in order."""

    def __init__(
        self,
        call_id: str,
        turn_id: TurnId,
        argv: Sequence[str],
        cwd: str,
        budget: OutputBudget,
        extra: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        """`extra` is in the first event and in the last; `budget` limits the text that is formatted as for the
        model."""
        self._call_id = call_id
        self.budget = budget
        self.facts: JsonObject = {"call_id": call_id, "turn_id": turn_id, "command": list(argv), "cwd": cwd}
        """Further members for a question to the user."""
        self._extra = extra
        self._told: JsonObject = {**self.facts, "parsed_cmd": summarize(argv), "source": "agent", **extra}

    def begin(self) -> JsonObject:
        """Emit the begin event."""
        return {"type": "exec_command_begin", **self._told}

    def output(self, name: StreamName, chunk: bytes) -> JsonObject:
        """Emit output."""
        return {
            "type": "exec_command_output_delta",
            "call_id": self._call_id,
            "stream": name,
            "chunk": base64.b64encode(chunk).decode(),
        }

    def interaction(self, text: str) -> JsonObject:
        """Report that text is written to it or, if `text` is empty, that the model reads its output."""
        process_id = self._extra.get("process_id")
        return {"type": "terminal_interaction", "call_id": self._call_id, "process_id": process_id, "stdin": text}

    def end(self, finished: Finished, exit_code: int, formatted_output: str, fault: str | None = None) -> JsonObject:
        """Emit the end event. `fault` says why it ended, if not by itself."""
        stderr = finished.stderr.render(_BUDGET)
        return self._end(
            exit_code=exit_code,
            stdout=finished.stdout.render(_BUDGET),
            stderr=stderr if fault is None else paragraphs(stderr, fault),
            aggregated_output=finished.aggregated.render(_BUDGET),
            duration=finished.duration,
            formatted_output=formatted_output,
        )

    def failed(self, reason: str) -> JsonObject:
        """Emit the end event of a command that was not run, or whose turn was stopped."""
        return self._end(NO_EXIT_CODE, "", reason, "", 0, reason)

    def _end(
        self, exit_code: int, stdout: str, stderr: str, aggregated_output: str, duration: float, formatted_output: str
    ) -> JsonObject:
        seconds, rest = divmod(round(duration * 1_000_000_000), 1_000_000_000)
        return {
            "type": "exec_command_end",
            **self._told,
            "stdout": stdout,
            "stderr": stderr,
            "aggregated_output": aggregated_output,
            "exit_code": exit_code,
            "duration": {"secs": seconds, "nanos": rest},
            "formatted_output": formatted_output,
            "status": "completed" if exit_code == 0 else "failed",
        }


def paragraphs(*texts: str) -> str:
    """Join the non-empty texts."""
    return "\n".join(text for text in texts if text)

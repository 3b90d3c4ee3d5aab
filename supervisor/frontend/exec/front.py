"""The front end of one run: its client is the command line, which has said everything already."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from greenroom.protocol.failure import Failure
from greenroom.protocol.version import __version__
from greenroom.runtime.user_agent import user_agent
from greenroom.supervisor.frontend.client_channel import ClientChannel
from greenroom.supervisor.frontend.exec.request import ExecRequest

if TYPE_CHECKING:
    from greenroom.protocol.ids import ConversationId
    from greenroom.protocol.report import ClientEntry
    from greenroom.supervisor.conversations.host import ConversationHost
    from greenroom.supervisor.conversations.state.conversation import Conversation
    from greenroom.supervisor.frontend.exec.turn_renderer import TurnRenderer

SERVICES: Final = "greenroom.supervisor.frontend.exec.turn"
"""The module that `attach` needs."""


class ExecFront:
    """Implements `greenroom.supervisor.frontend.connection.FrontEnd`."""

    def __init__(
        self,
        request: ExecRequest,
        narrator: "TurnRenderer",
        environment: Mapping[str, str],
        channel: ClientChannel | None = None,
    ) -> None:
        """`channel` is that of a run in a host; without one, the run is the only client of its server."""
        self._is_alone = channel is None
        self.channel = channel or ClientChannel(_nowhere, lambda: user_agent(__version__, environment))
        self._request = request
        self._narrator = narrator
        self.outcome: str | Failure | None = None
        """The agent's last message, or why there is none; `None` where the turn has not ended."""
        self.is_told = False
        """Whether a failure has been told."""
        self._waiting = ExitStack()
        """Ends the wait for turns of others."""
        self.on_finished: Callable[[], None] = lambda: None
        """Called when the turn has ended."""

    @property
    def client(self) -> "ClientEntry | None":
        """The client, for status."""
        from greenroom.protocol.report import ClientEntry

        return ClientEntry(name="greenroom exec", version=__version__, protocol="exec")

    @property
    def open_calls(self) -> int:
        """Number of turns that have not ended."""
        return int(self.outcome is None)

    def receive(self, data: bytes) -> None:
        """Ignore bytes: there are none."""

    def receive_end(self) -> None:
        """Handle the end of the client: there is nothing to do."""

    def attach(self, host: "ConversationHost") -> None:
        """Begin the turn in the worker that is ready or starting; no other will be needed, unless it dies."""
        if self._is_alone:
            host.tree.workers.stop_replenishing()
        request = self._request
        if request.resumed is None:
            self._begin(host, host.conversations.open(request.overrides, request.title, ephemeral=request.ephemeral))
        else:
            self._resume(host, request.resumed)

    def _resume(self, host: "ConversationHost", conversation_id: "ConversationId") -> None:
        """Begin the turn in a saved conversation, once turns that are being interrupted have ended."""
        request, conversations = self._request, host.conversations
        conversation = conversations.take_up(conversation_id, None, request.overrides, ephemeral=request.ephemeral)
        if any(not turn.interrupted for turn in conversation.turns):
            text = f"conversation {conversation.id} is busy: a turn of it runs or waits already"
            self.outcome = Failure("session_busy", text)
            self.on_finished()
        elif conversation.turns:
            # Such as the turn of a run that was killed a moment ago, which its user no longer knows to be running.
            self._waiting.enter_context(conversation.watched(lambda: self._look_again(host, conversation)))
        else:
            conversations.release(conversation)  # its process, if any, was started with other settings
            conversation.overrides = request.overrides
            self._begin(host, conversation)

    def _look_again(self, host: "ConversationHost", conversation: "Conversation") -> None:
        from asyncio import get_running_loop

        if not conversation.turns:
            self._waiting.close()
            # That the process is free is reported after the end of its turn.
            handle = get_running_loop().call_soon(self._resume, host, conversation.id)
            self._waiting.callback(handle.cancel)

    def _begin(self, host: "ConversationHost", conversation: "Conversation") -> None:
        from greenroom.supervisor.conversations.state.turn import CallOrigin
        from greenroom.supervisor.frontend.exec.turn import ExecTurn

        request, conversations = self._request, host.conversations

        def ended(outcome: str | Failure) -> None:
            self.outcome, self.is_told = outcome, audience.is_open
            self.on_finished()

        origin = CallOrigin("exec", trace=request.trace)
        audience = ExecTurn(self.channel, self._narrator, conversations, ended)
        turn = conversations.submit(
            conversation, request.items, audience, output_schema=request.output_schema, origin=origin
        )
        audience.attach(turn)

    async def stop(self, reason: str) -> None:
        """Do nothing: the turn is ended by the conversations."""

    async def close(self) -> None:
        """Wait for nothing any more; a turn that was begun has ended."""
        self._waiting.close()


def _nowhere(data: bytes) -> None:
    """Drop what is written before there is a transport: nothing is."""
    del data

"""The turn loop: asks the model, runs the tools that it calls, and asks again, until the model ends the turn."""

from typing import Protocol

from greenroom.protocol.errors import ModelError
from greenroom.protocol.items import JsonObject
from greenroom.workers.conversation.compaction.compaction import Compaction
from greenroom.workers.conversation.transcript import Transcript
from greenroom.workers.conversation.turn.open_calls import OpenCalls
from greenroom.workers.conversation.turn.response_reader import ModelResponse, ResponseReader
from greenroom.workers.conversation.turn_activity import COMPACTING, TurnActivity
from greenroom.workers.conversation.usage.tokens import TokenCounter
from greenroom.workers.model.outcome.attempt import MalformedRequestError, SealedHistoryError
from greenroom.workers.model.responses import ResponseUsage
from greenroom.workers.tools.types import ToolResult


class TurnTools(Protocol):
    """The tools of a turn (`greenroom.workers.conversation.tools.ConversationTools`)."""

    async def call(self, call: JsonObject) -> ToolResult:
        """Run one call of the model and return its output."""
        ...

    async def emit_diff(self) -> None:
        """Tell clients the net diff of the turn's patches, if there were any."""


class SteeringInput(Protocol):
    """The user's further messages to a running turn (`greenroom.workers.conversation.turn.steering.SteeringQueue`)."""

    async def take(self) -> bool:
        """Append the messages that have arrived to the history, and return whether there were any."""
        ...


class Injected(Protocol):
    """Items that a client puts into the history (`greenroom.workers.conversation.injected_items.InjectedItems`)."""

    def apply(self) -> None:
        """Append the items that wait."""


class TurnGoal(Protocol):
    """The goal of the conversation (`greenroom.workers.conversation.goal.goal_keeper.GoalKeeper`)."""

    def count(self, usage: ResponseUsage | None, *, acts: bool) -> None:
        """Count a response of the model; `acts` tells whether it says or calls anything."""

    def tell_limit(self) -> None:
        """Tell the model once that the budget is used up."""


class TurnLoop:
    """Runs the turns of one conversation, each from the user's message in the history to the model's last answer."""

    def __init__(
        self,
        responses: ResponseReader,
        transcript: Transcript,
        tools: TurnTools,
        steering: SteeringInput,
        compaction: Compaction,
        tokens: TokenCounter,
        injected: Injected,
        goal: TurnGoal,
    ) -> None:
        self._responses = responses
        self._transcript = transcript
        self._history = transcript.history
        self._tools = tools
        self._steering = steering
        self._compaction = compaction
        self._tokens = tokens
        self._injected = injected
        self._goal = goal
        self._activity = TurnActivity()
        self._open_calls = OpenCalls()
        self._uncounted: ResponseUsage | None = None
        """Usage of the present response, as long as clients have not been told of it."""

    async def run(self, activity: TurnActivity) -> str | None:
        """Run one turn, and return the agent's last message. Raises `ModelError` or `StartError`.

        After a cancellation, or an error of another type, `close` is to be called.
        """
        self._begin(activity)
        self._transcript.write_soon()
        while True:
            response = await self._ask_with_room()
            start = len(self._history)
            for item in response.items:
                self._transcript.keep(item)
            self._compaction.note(response.usage)
            self._uncounted = response.usage
            last = self._history.last_agent_message(since=start)
            self._goal.count(response.usage, acts=bool(response.calls or last))
            await self._answer_calls(response.calls)
            self._count()
            await self._tools.emit_diff()
            self._injected.apply()
            if not response.ends_turn:
                self._goal.tell_limit()
            if await self._steering.take():
                continue
            if response.ends_turn:
                return last

    async def compact(self, activity: TurnActivity) -> None:
        """Run a turn that only compacts the history. Raises `ModelError` or `StartError`."""
        self._begin(activity)
        if len(self._history):
            await self._compaction.run()

    def close(self, output: str) -> None:
        """Answer the calls that are still open with `output`, and count the response that made them."""
        for item in self._open_calls.close(output):
            self._transcript.add(item)
        self._count()

    def _begin(self, activity: TurnActivity) -> None:
        self._activity = activity
        self._responses.begin_turn(activity)
        self._compaction.begin_turn()

    async def _ask_with_room(self) -> ModelResponse:
        """Make one request. The history is shortened first where it is too long, or where the server says so."""
        while True:
            self._activity.doing = COMPACTING
            await self._compaction.when_due()
            try:
                return await self._responses.ask()
            except ModelError as error:
                repaired = self._drop_sealed_reasoning(error) or self._adapt_members(error)
                if not (repaired or await self._compaction.rescue(error)):
                    self._tell_limits()
                    raise

    def _tell_limits(self) -> None:
        """Tell clients of the account's limits, as the answer that has failed the turn has them."""
        news = self._tokens.news()
        if news is not None:
            self._transcript.emit_now(news, keep=True)

    def _drop_sealed_reasoning(self, error: ModelError) -> bool:
        """Remove reasoning that was encrypted for another account, once the server says that it cannot read it.

        Only the server knows the account: the history may come from a session file, or from another server.
        """
        return isinstance(error, SealedHistoryError) and self._history.drop_encrypted_reasoning()

    def _adapt_members(self, error: ModelError) -> bool:
        """Leave out members of another server's answers once this one refuses them by name, or add missing ones."""
        return isinstance(error, MalformedRequestError) and self._history.adapt_members(str(error))

    async def _answer_calls(self, calls: list[JsonObject]) -> None:
        """Run the calls of a response in their order, each to its end before the next."""
        if not calls:
            return
        activity = self._activity
        self._open_calls = OpenCalls(calls)
        for call in calls:
            self._transcript.write()
            activity.doing = f"running the tool {call['name']}"
            activity.runs_tool = True
            try:
                output = await self._tools.call(call)
            finally:
                activity.runs_tool = False
            self._transcript.add(self._open_calls.answer(output))

    def _count(self) -> None:
        usage, self._uncounted = self._uncounted, None
        if usage is not None:
            self._transcript.emit_now(self._tokens.add(usage), keep=True)

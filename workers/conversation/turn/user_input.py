"""Takes the user's messages into the running turn: checks that they fit, and appends them to the transcript."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from greenroom.config.reader import Reader
from greenroom.protocol.errors import PromptTooLongError
from greenroom.protocol.items import JsonObject
from greenroom.workers.conversation.compaction.compacted_history import is_context
from greenroom.workers.conversation.current_turn import CurrentTurn
from greenroom.workers.conversation.events import event
from greenroom.workers.conversation.history.history_entry import HistoryEntry
from greenroom.workers.conversation.prompt import prompt
from greenroom.workers.conversation.prompt.context import InitialContext
from greenroom.workers.conversation.prompt.message_limit import check_length
from greenroom.workers.conversation.prompt.request_builder import RequestBuilder
from greenroom.workers.conversation.prompt.skills import SkillMentions, may_mention, skills_of
from greenroom.workers.conversation.transcript import Transcript

if TYPE_CHECKING:
    from greenroom.sessions.history_file import MessageHistory

_decode_items = msgspec.json.Decoder(list[JsonObject]).decode


class ReceivedMessage(msgspec.Struct, frozen=True):
    """One message of the user."""

    item: JsonObject
    """The item of the history, with the images that the message names."""
    text: str
    skills: Sequence[JsonObject] = ()
    """Messages with the skills that it names."""


class UserInput:
    """Belongs to one conversation."""

    def __init__(
        self,
        reader: Reader,
        turn: CurrentTurn,
        transcript: Transcript,
        requests: RequestBuilder,
        context: InitialContext,
        message_history: "MessageHistory | None",
    ) -> None:
        """`message_history` is the file of the messages of all conversations, where the settings want it."""
        self._reader = reader
        self._turn = turn
        self._transcript = transcript
        self._requests = requests
        self._context = context
        self._message_history = message_history
        self.texts: list[str] = []
        """The texts of the messages of the turn that runs, or ran last."""

    def begin_turn(self) -> None:
        """Start another turn. The first one of the conversation begins with the initial context."""
        self._context.add_once()
        self.texts = []

    def read(self, items: bytes) -> ReceivedMessage:
        """Return the message of a JSON array of input items. Images are read from the directory of the turn."""
        decoded = _decode_items(items)
        texts = [str(item["text"]) for item in decoded if item.get("type") == "text" and "text" in item]
        message = prompt.input_message(decoded, self._read_image)
        return ReceivedMessage(message, "\n".join(texts), self._skills(decoded) if may_mention(decoded) else ())

    def check(self, message: ReceivedMessage) -> None:
        """Raise `PromptTooLongError` if a message cannot fit into any turn of this conversation."""
        self._check_length(message, ())

    def fits(self, message: ReceivedMessage) -> bool:
        """Return whether a message fits beside the earlier ones of the running turn."""
        try:
            self._check_length(message, self._transcript.history.inputs)
        except PromptTooLongError:
            return False
        return True

    async def accept(self, message: ReceivedMessage) -> None:
        """Append a message to the running turn, after the skills that it names."""
        for skill in message.skills:
            self._transcript.add(skill)
        self._transcript.add_input(message.item)
        self.texts.append(message.text)
        self._transcript.emit_now(event.user_message(message.text), keep=True)
        if self._message_history is not None:
            await self._message_history.add(message.text)

    def tell(self, text: str) -> None:
        """Append what the model is to know of something that the user has done."""
        item = prompt.message("user", text)
        if item is not None:
            self._transcript.add(item)

    def _check_length(self, message: ReceivedMessage, inputs: Sequence[HistoryEntry]) -> None:
        history = self._transcript.history
        running = {id(entry) for entry in history.inputs}
        context = {entry.encoded for entry in history if is_context(entry) and id(entry) not in running}
        fixed = self._requests.size + sum(map(len, context))
        family = self._turn.settings.model_family
        check_length(message.item, family, fixed, (entry.item for entry in inputs))

    def _skills(self, items: Sequence[JsonObject]) -> Sequence[JsonObject]:
        mentions = SkillMentions(items, skills_of(self._turn.settings, self._reader).enabled, self._reader)
        for note in mentions.notes:
            self._transcript.warn(note)
        return mentions.messages

    def _read_image(self, path: str) -> bytes:
        return self._reader.read(os.path.join(self._turn.settings.cwd, path))

"""The items that take the place of a history when it is compacted, as pure functions.

* The user's messages of the running turn stay word for word and in their order, however long they are. Those that the
  model has not answered yet stand after the summary, and are not summed up.
* Messages of the context stay, so they are in every later request. Of the user's earlier messages the newest stay,
  within a budget. An earlier summary is dropped: the new one covers it.
"""

from typing import Final

from greenroom.protocol.items import JsonObject, text_parts
from greenroom.protocol.user_messages import SUMMARY_PREFIX, summary_message
from greenroom.workers.conversation.history.history import History
from greenroom.workers.conversation.history.history_entry import HistoryEntry
from greenroom.workers.conversation.prompt.prompt import TURN_ABORTED, message

_TEMPORARY: Final = (SUMMARY_PREFIX.strip(), TURN_ABORTED, "<user_shell_command>")
"""Messages of the role `user` that no compaction keeps."""
_GOAL: Final = b'<codex_internal_context source=\\"goal\\">'
"""How messages about the goal of the conversation begin, as JSON."""


def shortened(history: History, summary: str, budget: int) -> list[JsonObject]:
    """Return the items that replace `history`. `budget` is the size of the user's messages in bytes."""
    running = {id(entry) for entry in history.inputs}
    entries, unanswered = split_history(history)
    earlier = [entry for entry in entries if id(entry) not in running]
    # Of equal messages the last one stays: it may revoke one in between. So it is with those that tell of the goal.
    context: dict[bytes, JsonObject] = {}
    for entry in filter(is_context, reversed(earlier)):
        context.setdefault(_GOAL if _GOAL in entry.encoded else entry.encoded, entry.item)
    room = max(0, budget - sum(entry.weight for entry in history.inputs))
    messages = _latest([entry for entry in earlier if entry.is_user], room)
    answered = [entry.item for entry in entries if id(entry) in running]
    return [
        *reversed(context.values()),
        *messages,
        *answered,
        summary_message(summary),
        *(entry.item for entry in unanswered),
    ]


def can_shorten(history: History, budget: int) -> bool:
    """Return whether a compaction would remove anything, beside adding the summary."""
    staying = shortened(history, "", budget)
    staying.remove(summary_message(""))
    return staying != [entry.item for entry in history]


def split_history(history: History) -> tuple[list[HistoryEntry], list[HistoryEntry]]:
    """Return the entries to be summed up, and after them the user's messages of the running turn without an answer."""
    entries = list(history)
    running = {id(entry) for entry in history.inputs}
    end = len(entries)
    while end and id(entries[end - 1]) in running:
        end -= 1
    return entries[:end], entries[end:]


def is_context(entry: HistoryEntry) -> bool:
    """Return whether an entry describes the model's environment, so that compactions keep it."""
    if entry.role == "developer":
        return True
    if entry.role != "user" or entry.is_user:
        return False
    return not any(text.strip().startswith(_TEMPORARY) for text in text_parts(entry.item))


def _latest(messages: list[HistoryEntry], room: int) -> list[JsonObject]:
    """Return the newest messages up to a weight of `room`, and the beginning of the one that no longer fits."""
    kept: list[JsonObject] = []
    for entry in reversed(messages):
        if entry.weight > room:
            kept.extend(_beginning(entry.item, room))
            break
        kept.append(entry.item)
        room -= entry.weight
    return kept[::-1]


def _beginning(item: JsonObject, size: int) -> list[JsonObject]:
    """Return a message cut to `size` bytes of text, without its images; nothing where no text is left."""
    full = "\n".join(text_parts(item))
    text = full.encode("utf-8", "replace")[:size].decode("utf-8", "ignore")
    cut = message("user", text if text == full else f"{text} […]") if text.strip() else None
    return [] if cut is None else [cut]

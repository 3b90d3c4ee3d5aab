"""A conversation as Markdown, for people and for models that continue it."""

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from greenroom.sessions.index import SessionEntry, Story
    from greenroom.sessions.records.passage import Passage

MAX_TEXT: Final = 1024 * 1024
"""Characters of a transcript; a longer one is cut at its beginning."""
_HEADINGS: Final = {"user": "User", "agent": "Agent", "reasoning": "Reasoning", "call": "Call", "output": "Output"}
_FENCE: Final = re.compile(r"^ {0,3}(`{3,})", re.MULTILINE)


def markdown(story: "Story", most: int = MAX_TEXT) -> str:
    """Return a whole conversation, but for its beginning where it has more than `most` characters."""
    kept, size = len(story.told), 0
    while kept and size < most:
        kept -= 1
        size += len(story.told[kept][1].text)
    return _head(story.entry) + body(story.told[kept:], kept, most)


def body(told: "Iterable[tuple[int, Passage]]", left_out: int, most: int = MAX_TEXT) -> str:
    """Return the passages, `most` characters of each. `left_out` passages before them are only counted."""
    return "".join(_parts(told, left_out, most))


def _head(entry: "SessionEntry") -> str:
    facts = {"Conversation": entry.id, "Directory": entry.cwd, "Model": entry.model, "Began": entry.started}
    lines = "".join(f"- {name}: {fact}\n" for name, fact in facts.items() if fact)
    return f"# {entry.title or 'Conversation'}\n\n{lines}"


def _parts(told: "Iterable[tuple[int, Passage]]", left_out: int, most: int) -> Iterator[str]:
    if left_out:
        yield f"\n*{left_out} earlier passages are left out.*\n"
    last = None
    for turn, passage in told:
        if turn != last:
            yield f"\n## Turn {turn}\n"
            last = turn
        yield f"\n### {_HEADINGS[passage.speaker]}\n\n{_text(passage, most)}\n"


def _text(passage: "Passage", most: int) -> str:
    text = passage.text.strip("\n")
    text = text if len(text) <= most else f"{text[:most]}…"
    if passage.speaker not in ("call", "output"):
        return text
    longest = max((len(match[1]) for match in _FENCE.finditer(text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}\n{text}\n{fence}"

"""How well a few letters fit a path: a score, and which of its characters they stand for. Free of I/O.

The letters have to come in their order, whatever lies between and in either case. Letters that begin a path, a part of
it or a word in it count more, and so do letters that stand together. The numbers are those of the fuzzy finder fzf,
which many programs share. Letters of several words, apart by blanks, are found each for itself.
"""

import re
from typing import Final, NamedTuple, TypeAlias

MATCH: Final = 16
GAP: Final = 3
"""Taken off for the first character that is passed over between two letters, and 1 for each further one."""
AT_START: Final = 10
AFTER_SLASH: Final = 9
AFTER_MARK: Final = 8
"""After anything else that is neither letter nor digit; such a character counts as much itself."""
IN_CAMEL: Final = 7
"""A capital after a small letter, a digit after a letter."""
TOGETHER: Final = 4
FIRST: Final = 2
"""How many times the first letter's bonus counts."""

# Tuples, because a hundred thousand paths are looked at while somebody types.
Step: TypeAlias = tuple[int, int, int, "Step | None"]
"""The best way to put the letters so far, the last of them somewhere: score, place, bonus of its run, former step."""


class Match(NamedTuple):
    """What a path is worth."""

    score: int
    ways: tuple[Step, ...]

    @property
    def indices(self) -> tuple[int, ...]:
        """Positions of the letters in the path, ascending."""
        found = set()
        for way in self.ways:
            step: Step | None = way
            while step is not None:
                found.add(step[1])
                step = step[3]
        return tuple(sorted(found))


class _Bonus(dict[str, int]):
    """What a character is worth for the one before it, by both of them; one alone begins a path."""

    def __missing__(self, pair: str) -> int:
        bonus = self[pair] = _bonus(pair[:-1], pair[-1])
        return bonus


_BONUS: Final = _Bonus()


def match(words: list[str], path: str) -> Match | None:
    """Return what a path is worth for words in small letters; `None` where one of them does not fit."""
    lowered = path.lower()
    if len(lowered) != len(path):  # of the few letters whose small form is longer
        lowered = path
    score, ways = 0, []
    for word in words:
        way = _best_way(word, lowered, path)
        if way is None:
            return None
        score += way[0]
        ways.append(way)
    return Match(score, tuple(ways))


def promising(word: str) -> list[tuple[re.Pattern[str], int]]:
    """Return patterns of paths that are worth much for a word, the best first.

    With each goes the most that a path is worth to which neither this pattern nor one before it applies.
    """
    length, first = len(word), re.escape(word[0])
    if length == 1:
        slashed, marked, camel = (MATCH + FIRST * bonus for bonus in (AFTER_SLASH, AFTER_MARK, IN_CAMEL))
        return [
            (_pattern(f"^{first}"), slashed),
            (_pattern(f"/{first}"), marked),
            (_pattern(rf"[\W_]{first}"), camel),
            (re.compile(rf"\D{first}" if word.isdigit() else f"[a-z]{re.escape(word.upper())}"), MATCH),
        ]
    at_start = MATCH + FIRST * AT_START + (length - 2) * (MATCH + AT_START)
    """With one letter less, which then stands apart, at best after a slash."""
    elsewhere = MATCH + FIRST * AFTER_SLASH + (length - 2) * (MATCH + AFTER_SLASH)
    apart = MATCH + AFTER_SLASH - GAP
    return [
        (_pattern(f"(?:^|/){re.escape(word)}"), at_start + apart),
        (_pattern(f"^{first}"), elsewhere + apart),
    ]


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE | re.DOTALL)


def _best_way(word: str, lowered: str, path: str) -> Step | None:
    steps = _first_steps(word[0], lowered, path)
    for letter in word[1:]:
        if not steps:
            return None
        steps = _next_steps(steps, letter, lowered, path)
    best = None
    for step in steps:
        if best is None or step[0] > best[0]:
            best = step
    return best


def _first_steps(letter: str, lowered: str, path: str) -> list[Step]:
    steps: list[Step] = []
    at = lowered.find(letter)
    while at >= 0:
        bonus = _BONUS[path[at - 1 : at + 1] if at else path[0]]
        steps.append((MATCH + FIRST * bonus, at, bonus, None))
        at = lowered.find(letter, at + 1)
    return steps


def _next_steps(former: list[Step], letter: str, lowered: str, path: str) -> list[Step]:
    """Put one more letter behind each way so far, wherever it occurs, and keep the best way to each place."""
    steps: list[Step] = []
    apart: Step | None = None
    lead = 0
    """The best way that ends further ahead than one place, and its score with its place: all lose 1 with each place."""
    passed, count = 0, len(former)
    at = lowered.find(letter, former[0][1] + 1)
    while at >= 0:
        while passed < count and former[passed][1] < at - 1:
            step = former[passed]
            if apart is None or step[0] + step[1] >= lead:
                apart, lead = step, step[0] + step[1]
            passed += 1
        bonus = _BONUS[path[at - 1 : at + 1]]
        found: Step | None = None
        if apart is not None:
            found = (lead - at + 2 - GAP + MATCH + bonus, at, bonus, apart)
        if passed < count and former[passed][1] == at - 1:
            step = former[passed]
            run_bonus = bonus if bonus >= AFTER_MARK and bonus > step[2] else step[2]
            score = step[0] + MATCH + max(bonus, run_bonus, TOGETHER)
            if found is None or score >= found[0]:
                found = (score, at, run_bonus, step)
        if found is not None:
            steps.append(found)
        at = lowered.find(letter, at + 1)
    return steps


def _bonus(before: str, character: str) -> int:
    if not character.isalnum():
        return AFTER_MARK
    if not before:
        return AT_START
    if before == "/":
        return AFTER_SLASH
    if not before.isalnum():
        return AFTER_MARK
    capital = character.isupper() and before.islower()
    return IN_CAMEL if capital or (character.isdigit() and not before.isdigit()) else 0

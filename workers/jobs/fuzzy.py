"""Fuzzy matching of paths: a score, and the positions of the matched characters. Free of I/O.

The letters have to occur in order, with anything between them and in either case. Letters at the beginning of a path,
of one of its parts or of a word count more, and so do consecutive letters. The numbers are those of the fuzzy finder
fzf, which many programs use. Words separated by blanks are matched independently.
"""

import re
from typing import Final, NamedTuple, TypeAlias

MATCH: Final = 16
GAP: Final = 3
"""Penalty for the first character that is skipped between two letters, and 1 for each further one."""
AT_START: Final = 10
AFTER_SLASH: Final = 9
AFTER_MARK: Final = 8
"""After any other character that is neither letter nor digit; such a character gets the same bonus itself."""
IN_CAMEL: Final = 7
"""A capital after a small letter, or a digit after a letter."""
TOGETHER: Final = 4
FIRST: Final = 2
"""The factor of the first letter's bonus."""

# Tuples, because a hundred thousand paths are scored while the user types.
MatchStep: TypeAlias = tuple[int, int, int, "MatchStep | None"]
"""The best placement of the letters so far, by the position of the last: score, position, bonus of its run, previous
step."""


class FuzzyMatch(NamedTuple):
    """The score of a path."""

    score: int
    ways: tuple[MatchStep, ...]

    @property
    def indices(self) -> tuple[int, ...]:
        """Positions of the letters in the path, ascending."""
        positions = set()
        for way in self.ways:
            step: MatchStep | None = way
            while step is not None:
                positions.add(step[1])
                step = step[3]
        return tuple(sorted(positions))


class _Bonus(dict[str, int]):
    """The bonus of a character by itself and the one before it; a single one begins a path."""

    def __missing__(self, pair: str) -> int:
        bonus = self[pair] = _bonus(pair[:-1], pair[-1])
        return bonus


_BONUS: Final = _Bonus()


def match(words: list[str], path: str) -> FuzzyMatch | None:
    """Return the score of a path for lower-case words; `None` if one of them does not match."""
    lowered = path.lower()
    if len(lowered) != len(path):  # for the few letters whose lower-case form is longer
        lowered = path
    score, ways = 0, []
    for word in words:
        way = _best_way(word, lowered, path)
        if way is None:
            return None
        score += way[0]
        ways.append(way)
    return FuzzyMatch(score, tuple(ways))


def promising(word: str) -> list[tuple[re.Pattern[str], int]]:
    """Return patterns of paths with a high score for a word, best first.

    Each has the maximum score of a path that matches neither this pattern nor one before it.
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
    """One letter less in the run; it then stands apart, at best after a slash."""
    elsewhere = MATCH + FIRST * AFTER_SLASH + (length - 2) * (MATCH + AFTER_SLASH)
    apart = MATCH + AFTER_SLASH - GAP
    return [
        (_pattern(f"(?:^|/){re.escape(word)}"), at_start + apart),
        (_pattern(f"^{first}"), elsewhere + apart),
    ]


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE | re.DOTALL)


def _best_way(word: str, lowered: str, path: str) -> MatchStep | None:
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


def _first_steps(letter: str, lowered: str, path: str) -> list[MatchStep]:
    steps: list[MatchStep] = []
    at = lowered.find(letter)
    while at >= 0:
        bonus = _BONUS[path[at - 1 : at + 1] if at else path[0]]
        steps.append((MATCH + FIRST * bonus, at, bonus, None))
        at = lowered.find(letter, at + 1)
    return steps


def _next_steps(former: list[MatchStep], letter: str, lowered: str, path: str) -> list[MatchStep]:
    """Place one more letter after each placement so far, wherever it occurs, and keep the best one for each
    position."""
    steps: list[MatchStep] = []
    apart: MatchStep | None = None
    lead = 0
    """The best placement that ends before a position, and its score; all lose 1 with each position."""
    passed, count = 0, len(former)
    at = lowered.find(letter, former[0][1] + 1)
    while at >= 0:
        while passed < count and former[passed][1] < at - 1:
            step = former[passed]
            if apart is None or step[0] + step[1] >= lead:
                apart, lead = step, step[0] + step[1]
            passed += 1
        bonus = _BONUS[path[at - 1 : at + 1]]
        best: MatchStep | None = None
        if apart is not None:
            best = (lead - at + 2 - GAP + MATCH + bonus, at, bonus, apart)
        if passed < count and former[passed][1] == at - 1:
            step = former[passed]
            run_bonus = bonus if bonus >= AFTER_MARK and bonus > step[2] else step[2]
            score = step[0] + MATCH + max(bonus, run_bonus, TOGETHER)
            if best is None or score >= best[0]:
                best = (score, at, run_bonus, step)
        if best is not None:
            steps.append(best)
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

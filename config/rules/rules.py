"""The user's rules for commands: which beginnings of a command are allowed, need approval, or are forbidden.

Free of I/O. An `allow` lifts the sandbox, so it has to be certain that it speaks of this command. A `prompt` or
`forbidden` counts as soon as it may speak of it: the program's path does not matter then.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal, TypeAlias

import msgspec

RuleDecision: TypeAlias = Literal["allow", "prompt", "forbidden"]
Pattern: TypeAlias = tuple[tuple[str, ...], ...]
"""For each word of the beginning its alternatives."""

STRICTNESS: Final[Mapping[RuleDecision, int]] = {"allow": 0, "prompt": 1, "forbidden": 2}

SYSTEM_DIRECTORIES: Final = ("/bin", "/usr/bin")
"""Directories in which a program is the one that its name says, unless `host_executable` lists others."""


class PrefixRule(msgspec.Struct, frozen=True):
    """A rule about commands that begin with certain words."""

    pattern: Pattern
    decision: RuleDecision = "allow"
    justification: str | None = None
    """The user's reason, for the model and for the question."""

    def matched(self, words: Sequence[str]) -> tuple[str, ...] | None:
        """Return the words at the beginning of a command that the pattern matches; `None` if it does not."""
        length = len(self.pattern)
        if len(words) < length or not all(word in known for word, known in zip(words, self.pattern, strict=False)):
            return None
        return tuple(words[:length])


class RuleMatch(msgspec.Struct, frozen=True):
    """A rule that a command is subject to, and the words by which."""

    rule: PrefixRule
    prefix: tuple[str, ...]

    @property
    def strictness(self) -> int:
        """Its place in the order of `STRICTNESS`."""
        return STRICTNESS[self.rule.decision]


def strictest(matches: Iterable[RuleMatch]) -> RuleMatch | None:
    """Return the match that decides: of several with the same decision the longest."""
    return max(matches, key=lambda match: (match.strictness, len(match.prefix)), default=None)


class Rules(msgspec.Struct, frozen=True):
    """The rules of all files."""

    prefixes: tuple[PrefixRule, ...] = ()
    executables: Mapping[str, frozenset[str]] = msgspec.field(default_factory=dict)
    """For names of programs the absolute paths at which they are that program."""
    complete: bool = True
    """Whether every file could be read. As long as one cannot, nothing is allowed: it may forbid that."""

    def __bool__(self) -> bool:
        return bool(self.prefixes)

    def allowing(self, prefixes: Iterable[Sequence[str]]) -> "Rules":
        """Return them with a rule for each of these beginnings, which allows it."""
        added = tuple(PrefixRule(tuple((word,) for word in words)) for words in prefixes)
        return msgspec.structs.replace(self, prefixes=self.prefixes + added)

    def judge(self, words: Sequence[str]) -> RuleMatch | None:
        """Return the rule that decides about one command, read as its words; `None` if none speaks of it."""
        return strictest(self._matches(words))

    def restrict(self, words: Sequence[str]) -> RuleMatch | None:
        """Return the rule that restricts a command of which only the first words may be known."""
        return strictest(match for match in self._matches(words) if match.rule.decision != "allow")

    @property
    def allowed_prefixes(self) -> tuple[tuple[str, ...], ...]:
        """What the model is told to be allowed: the beginnings that are, without the alternatives of rules."""
        allowed = (rule for rule in self.prefixes if rule.decision == "allow") if self.complete else ()
        return tuple(tuple("|".join(words) for words in rule.pattern) for rule in allowed)

    def _matches(self, words: Sequence[str]) -> Iterator[RuleMatch]:
        if not words:
            return
        name = os.path.basename(words[0])
        certain = self._is_certain(words[0], name)
        for rule in self.prefixes:
            prefix = rule.matched(words)
            if prefix is None and name != words[0] and (certain or rule.decision != "allow"):
                prefix = rule.matched((name, *words[1:]))
            if prefix is not None and (self.complete or rule.decision != "allow"):
                yield RuleMatch(rule, prefix)

    def _is_certain(self, path: str, name: str) -> bool:
        paths = self.executables.get(name)
        return os.path.dirname(path) in SYSTEM_DIRECTORIES if paths is None else path in paths


NO_RULES: Final = Rules()

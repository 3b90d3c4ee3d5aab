"""What the user's rules make of a command: every part has to be allowed, and one restricted part restricts it all.

Free of I/O. A script is allowed by rules only if it is nothing but plain commands and a rule allows each of them. A
rule that restricts is also looked for in scripts that are not understood, behind `sudo` and `env`, and in nested
shells; that catches what is written plainly, not what is disguised.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from greenroom.config.rules.rules import SYSTEM_DIRECTORIES, RuleMatch, Rules, strictest
from greenroom.protocol.policy import ApprovalPolicy
from greenroom.protocol.quoting import shell_join
from greenroom.workers.approval.decision import (
    EXEC_REJECTED_BY_USER,
    AskFirst,
    ExecutionDecision,
    Refuse,
    Run,
)
from greenroom.workers.approval.safe_commands import DEEPEST_SCRIPT, SHELLS, script_of, wrapped_command
from greenroom.workers.approval.trusted_script import trusted_commands
from greenroom.workers.exec.script import PlainCommand, Word, commands_within

PROMPT_UNDER_NEVER: Final = (
    "exec command rejected: a rule of the user requires approval for commands that begin with `{prefix}`, and the "
    "approval policy is `never`{because}"
)
FORBIDDEN: Final = "exec command rejected: a rule of the user forbids commands that begin with `{prefix}`{because}"
NEEDS_APPROVAL: Final = "a rule requires approval for commands that begin with `{prefix}`{because}"


class Ruling(msgspec.Struct, frozen=True):
    """What rules say of a whole command."""

    match: RuleMatch
    """The rule that decides."""

    def text(self, form: str) -> str:
        """Return a text about it. `form` has places for `prefix` and `because`."""
        reason = self.match.rule.justification
        return form.format(prefix=shell_join(self.match.prefix), because="" if reason is None else f": {reason}")


def ruling_on(rules: Rules, argv: Sequence[str]) -> Ruling | None:
    """Return what the rules say of a command; `None` if they say nothing of it, or allow only a part of it."""
    if not rules:
        return None
    restricting = strictest(match for words in _parts(argv, DEEPEST_SCRIPT) if (match := rules.restrict(words)))
    if restricting is not None:
        return Ruling(restricting)
    commands = _plain_commands(argv)
    matches = [None if _has_pattern(command) else rules.judge(command.argv) for command in commands]
    allowing = [match for match in matches if match is not None]
    return Ruling(allowing[0]) if matches and len(allowing) == len(matches) else None


def apply_ruling(
    ruling: Ruling | None, decision: ExecutionDecision, policy: ApprovalPolicy, *, confirmed: bool = False
) -> ExecutionDecision:
    """Return what happens to a command about which `decision` was made without rules.

    `confirmed`: whether the user has answered the question of the rule about this command for the session.
    """
    if ruling is None:
        return decision
    match ruling.match.rule.decision:
        case "allow":
            return Run()
        case "forbidden":
            return Refuse(ruling.text(FORBIDDEN))
        case "prompt":
            return _prompted(ruling, decision, policy, confirmed)


LONGEST_PROPOSAL: Final = 1000
"""Characters of a command for which a rule is proposed."""


def proposed_rule(rules: Rules, argv: Sequence[str]) -> tuple[str, ...] | None:
    """Return the beginning of commands that a rule could allow, so that this one would run without a question.

    That is the one plain command of which the rules say nothing, with all its words; and only where its program is
    named as such, or lies where programs of the system do. Else `None`.
    """
    if not argv or not rules.complete or ruling_on(rules, argv) is not None:
        return None
    unknown = [command for command in _plain_commands(argv) if rules.judge(command.argv) is None]
    if len(unknown) != 1 or any(map(_has_pattern, _plain_commands(argv))):
        return None
    words = tuple(unknown[0].argv)
    directory, slash, name = words[0].rpartition("/")
    if not name or (slash and directory not in SYSTEM_DIRECTORIES) or len(" ".join(words)) > LONGEST_PROPOSAL:
        return None
    return words


def _prompted(
    ruling: Ruling, decision: ExecutionDecision, policy: ApprovalPolicy, confirmed: bool
) -> ExecutionDecision:
    match decision:
        case Refuse():
            return decision
        case _ if policy == "never":
            return Refuse(ruling.text(PROMPT_UNDER_NEVER))
        case AskFirst(approved=approved):
            return AskFirst(ruling.text(NEEDS_APPROVAL), approved, EXEC_REJECTED_BY_USER)
        case _ if confirmed:
            return decision
        case approved:
            return AskFirst(ruling.text(NEEDS_APPROVAL), approved, EXEC_REJECTED_BY_USER)


def _plain_commands(argv: Sequence[str]) -> Sequence[PlainCommand]:
    """Return all that a command does, if that can be told: itself, or the commands of its script."""
    script = shell_script(argv)
    return (PlainCommand(tuple(map(Word, argv))),) if script is None else trusted_commands(script) or ()


def _has_pattern(command: PlainCommand) -> bool:
    return any(word.pattern for word in command.words)


def _parts(argv: Sequence[str], depth: int) -> Iterator[Sequence[str]]:
    """Yield a command and whatever it seems to run, each as its first words."""
    if not argv or depth == 0:
        return
    yield argv
    inner = wrapped_command(argv)
    if inner:
        yield from _parts(inner, depth - 1)
    script = shell_script(argv)
    if script is not None:
        for words in commands_within(script):
            yield from _parts(words, depth - 1)


def shell_script(argv: Sequence[str]) -> str | None:
    """Return the script of a command that is a shell with one, wherever the shell lies; `None` for any other."""
    name = argv[0].rpartition("/")[2] if argv else ""
    return script_of((name, *argv[1:])) if name in SHELLS else None

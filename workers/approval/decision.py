"""Decides by table whether a command or a patch runs, runs in the sandbox, needs to be asked for, or is refused.

Free of I/O. The tables are the rules; `docs/approvals.md` is made from them. What a command is called never lifts the
sandbox: only the user does, by choosing `danger-full-access` or by approving.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from greenroom.protocol.policy import ApprovalPolicy, SandboxMode
from greenroom.workers.approval.safe_commands import CommandClass
from greenroom.workers.sandbox.policy import Confinement

EXEC_REJECTED_BY_USER: Final = "exec command rejected by user"
INPUT_REJECTED_BY_USER: Final = "text for the command rejected by user; it runs on without it"
PATCH_REJECTED_BY_USER: Final = "patch rejected by user"
PATCH_OUTSIDE: Final = "patch rejected: writing outside of the project; rejected by user approval settings"
EMPTY_PATCH: Final = "patch rejected: empty patch"
RETRY_REASON: Final = "command failed; retry without sandbox?"
ESCALATION_REFUSED: Final = (
    "exec command rejected: the approval policy is `never`, so a command cannot be run outside the sandbox; "
    "run it without asking for escalated permissions"
)
_DELETES: Final = "deletes without asking, and there is no sandbox"

Verdict: TypeAlias = Literal["run", "sandboxed", "ask", "refuse"]
Case: TypeAlias = Literal["harmless", "unknown", "dangerous", "escalated"]
"""What the command table asks of a command: its class, or that the model wants it outside the sandbox."""
Reach: TypeAlias = Literal["inside", "outside"]
"""Whether a patch stays where the sandbox policy lets commands write."""
CommandFailure: TypeAlias = Literal["timeout", "denied", "signal"]
"""How a command failed in the sandbox."""


@dataclass(frozen=True, slots=True)
class Run:
    """Run it without the sandbox."""


@dataclass(frozen=True, slots=True)
class RunSandboxed:
    """Run it in the sandbox."""


@dataclass(frozen=True, slots=True)
class AskFirst:
    """Ask the user."""

    reason: str | None
    """What the user is told beside the command."""
    approved: Run | RunSandboxed
    """What to do with their consent."""
    denied: str
    """What the model is told without it."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Do not run it."""

    text: str
    """What the model is told."""


Decision: TypeAlias = Run | RunSandboxed | AskFirst | Refuse


@dataclass(frozen=True, slots=True)
class Situation:
    """All that the decision about a command depends on."""

    policy: ApprovalPolicy
    mode: SandboxMode
    command: CommandClass
    escalated: bool = False
    """Whether the model asks to run it outside the sandbox."""
    remembered: bool = False
    """Whether the user has approved this very argv for the session."""

    @property
    def case(self) -> Case:
        """The column of the table. Where there is no sandbox there is nothing to escalate."""
        return "escalated" if self.escalated and self.mode != "danger-full-access" else self.command


COMMANDS: Final[dict[tuple[ApprovalPolicy, SandboxMode], dict[Case, Verdict]]] = {
    ("untrusted", "danger-full-access"): {"harmless": "run", "unknown": "ask", "dangerous": "ask"},
    ("untrusted", "read-only"): {"harmless": "sandboxed", "unknown": "ask", "dangerous": "ask", "escalated": "ask"},
    ("untrusted", "workspace-write"): {
        "harmless": "sandboxed",
        "unknown": "ask",
        "dangerous": "ask",
        "escalated": "ask",
    },
    ("on-failure", "danger-full-access"): {"harmless": "run", "unknown": "run", "dangerous": "ask"},
    ("on-failure", "read-only"): {
        "harmless": "sandboxed",
        "unknown": "sandboxed",
        "dangerous": "sandboxed",
        "escalated": "sandboxed",
    },
    ("on-failure", "workspace-write"): {
        "harmless": "sandboxed",
        "unknown": "sandboxed",
        "dangerous": "sandboxed",
        "escalated": "sandboxed",
    },
    ("on-request", "danger-full-access"): {"harmless": "run", "unknown": "run", "dangerous": "ask"},
    ("on-request", "read-only"): {
        "harmless": "sandboxed",
        "unknown": "sandboxed",
        "dangerous": "sandboxed",
        "escalated": "ask",
    },
    ("on-request", "workspace-write"): {
        "harmless": "sandboxed",
        "unknown": "sandboxed",
        "dangerous": "sandboxed",
        "escalated": "ask",
    },
    ("never", "danger-full-access"): {"harmless": "run", "unknown": "run", "dangerous": "run"},
    ("never", "read-only"): {
        "harmless": "sandboxed",
        "unknown": "sandboxed",
        "dangerous": "sandboxed",
        "escalated": "refuse",
    },
    ("never", "workspace-write"): {
        "harmless": "sandboxed",
        "unknown": "sandboxed",
        "dangerous": "sandboxed",
        "escalated": "refuse",
    },
}

PATCHES: Final[dict[tuple[ApprovalPolicy, SandboxMode], dict[Reach, Verdict]]] = {
    ("untrusted", "danger-full-access"): {"inside": "ask"},
    ("untrusted", "read-only"): {"outside": "ask"},
    ("untrusted", "workspace-write"): {"inside": "ask", "outside": "ask"},
    ("on-failure", "danger-full-access"): {"inside": "run"},
    ("on-failure", "read-only"): {"outside": "sandboxed"},
    ("on-failure", "workspace-write"): {"inside": "sandboxed", "outside": "sandboxed"},
    ("on-request", "danger-full-access"): {"inside": "run"},
    ("on-request", "read-only"): {"outside": "ask"},
    ("on-request", "workspace-write"): {"inside": "sandboxed", "outside": "ask"},
    ("never", "danger-full-access"): {"inside": "run"},
    ("never", "read-only"): {"outside": "refuse"},
    ("never", "workspace-write"): {"inside": "sandboxed", "outside": "refuse"},
}

RETRIES: Final[dict[ApprovalPolicy, dict[CommandFailure, Literal["tell", "ask"]]]] = {
    "untrusted": {"timeout": "tell", "denied": "ask", "signal": "ask"},
    "on-failure": {"timeout": "tell", "denied": "ask", "signal": "ask"},
    "on-request": {"timeout": "tell", "denied": "tell", "signal": "tell"},
    "never": {"timeout": "tell", "denied": "tell", "signal": "tell"},
}


def decide(situation: Situation, justification: str | None = None) -> Decision:
    """Decide about a command; `justification` is what the model says in its favour."""
    if situation.remembered:
        return Run()
    match COMMANDS[situation.policy, situation.mode][situation.case]:
        case "run":
            return Run()
        case "sandboxed":
            return RunSandboxed()
        case "refuse":
            return Refuse(ESCALATION_REFUSED)
        case "ask":
            unsolicited = _DELETES if situation.case == "dangerous" and situation.policy != "untrusted" else None
            return AskFirst(justification or unsolicited, Run(), EXEC_REJECTED_BY_USER)


def decide_patch(
    policy: ApprovalPolicy, mode: SandboxMode, paths: Collection[str], confinement: Confinement | None
) -> Decision:
    """Decide about a patch that touches `paths`, all of them absolute, both ends of a move included.

    `confinement` is what `confine` makes of the sandbox policy and the conversation; links are not followed.
    """
    if not paths:
        return Refuse(EMPTY_PATCH)
    inside = confinement is None or all(map(confinement.may_write, paths))
    match PATCHES[policy, mode]["inside" if inside else "outside"]:
        case "run":
            return Run()
        case "sandboxed":
            return RunSandboxed()
        case "refuse":
            return Refuse(PATCH_OUTSIDE)
        case "ask":
            return AskFirst(None, Run(), PATCH_REJECTED_BY_USER)


def decide_retry(policy: ApprovalPolicy, failure: CommandFailure) -> AskFirst | None:
    """Decide what follows when a command has failed in the sandbox; `None`: the model is told.

    The consent to a retry is for this once, unless it is given for the session.
    """
    return AskFirst(RETRY_REASON, Run(), EXEC_REJECTED_BY_USER) if RETRIES[policy][failure] == "ask" else None


def decide_input(policy: ApprovalPolicy, mode: SandboxMode, *, confined: bool, remembered: bool) -> Decision:
    """Decide about text for a command that runs on: what it makes of it is as good as another command.

    The sandbox bounds that, where there is one around it. A command that the user has let out of the sandbox, or that
    runs under a policy that trusts nothing, gets no text that the user has not seen.
    """
    free = mode == "danger-full-access" and policy != "untrusted"
    return Run() if confined or free or remembered else AskFirst(None, Run(), INPUT_REJECTED_BY_USER)


def sandbox_failure(exit_code: int | None, *, timed_out: bool) -> CommandFailure | None:
    """Classify how a command ended in the sandbox; `None` where it ended normally.

    127 means that a shell did not find a program, which no sandbox brings about. `exit_code` is `None` where a signal
    ended it.
    """
    if timed_out:
        return "timeout"
    if exit_code is None:
        return "signal"
    return None if exit_code in _NOT_THE_SANDBOX else "denied"


_NOT_THE_SANDBOX: Final = frozenset({0, 127})
_WORDS_OF_DENIAL: Final = (
    "operation not permitted",
    "permission denied",
    "read-only file system",
    "seccomp",
    "sandbox",
    "landlock",
    "failed to write file",
)
_NEVER_A_DENIAL: Final = frozenset({0, 2, 126, 127})
_BAD_CALL: Final = 128 + 31
"""How a shell reports that the filter of system calls has ended a program."""


def looks_denied(exit_code: int, output: str) -> bool:
    """Guess from what a command said whether the sandbox was in its way. For labels, not for decisions."""
    if exit_code == _BAD_CALL:
        return True
    lowered = output.lower()
    return exit_code not in _NEVER_A_DENIAL and any(words in lowered for words in _WORDS_OF_DENIAL)

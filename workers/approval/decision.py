"""Decides by tables whether a command or a patch runs, runs in the sandbox, needs approval, or is refused.

Free of I/O. `docs/approvals.md` is generated from the tables. The name of a command never lifts the sandbox: only the
user does, by choosing `danger-full-access`, by approving, or by a rule (`greenroom.workers.approval.ruling`).
"""

from collections.abc import Collection
from typing import Final, Literal, TypeAlias

import msgspec

from greenroom.protocol.policy import ApprovalPolicy, SandboxMode
from greenroom.workers.approval.safe_commands import CommandClass
from greenroom.workers.sandbox.policy import Confinement

EXEC_REJECTED_BY_USER: Final = "exec command rejected by user"
INPUT_REJECTED_BY_USER: Final = "text for the command rejected by user; it runs on without it"
INPUT_UNDER_NEVER: Final = (
    "text for the command rejected: it runs outside the sandbox, under the approval policy `never`"
)
PATCH_REJECTED_BY_USER: Final = "patch rejected by user"
PATCH_OUTSIDE: Final = "patch rejected: writing outside of the project; rejected by user approval settings"
EMPTY_PATCH: Final = "patch rejected: empty patch"
RETRY_REASON: Final = "command failed; retry without sandbox?"
ESCALATION_REFUSED: Final = (
    "exec command rejected: the approval policy is `never`, so a command cannot be run outside the sandbox; "
    "run it without asking for escalated permissions"
)
_DELETES: Final = "deletes without asking, and there is no sandbox"

ExecutionVerdict: TypeAlias = Literal["run", "sandboxed", "read-only", "ask", "refuse"]
PatchVerdict: TypeAlias = Literal["run", "sandboxed", "ask", "refuse"]
Case: TypeAlias = Literal["harmless", "harmless_confined", "unknown", "dangerous", "escalated"]
"""The column of the command table: the class of a command, or that the model wants it outside the sandbox."""
Reach: TypeAlias = Literal["inside", "outside"]
"""Whether a patch stays within the writable directories."""
CommandFailure: TypeAlias = Literal["timeout", "denied"]
"""How a command failed in the sandbox, if the sandbox may be the reason."""


class Run(msgspec.Struct, frozen=True):
    """Run it without the sandbox."""


class RunSandboxed(msgspec.Struct, frozen=True):
    """Run it in the sandbox."""


class RunReadOnly(msgspec.Struct, frozen=True):
    """Run it in a sandbox without write access, whatever the policy of the conversation."""


class AskFirst(msgspec.Struct, frozen=True):
    """Ask the user."""

    reason: str | None
    """The reason shown to the user beside the command."""
    approved: Run | RunSandboxed | RunReadOnly
    """What happens with the user's approval."""
    denied: str
    """The message to the model if it is denied."""


class Refuse(msgspec.Struct, frozen=True):
    """Do not run it."""

    text: str
    """The message to the model."""


ExecutionDecision: TypeAlias = Run | RunSandboxed | RunReadOnly | AskFirst | Refuse


class Situation(msgspec.Struct, frozen=True):
    """Everything that the decision about a command depends on."""

    policy: ApprovalPolicy
    mode: SandboxMode
    command: CommandClass
    escalated: bool = False
    """Whether the model requests to run it outside the sandbox."""
    remembered: bool = False
    """Whether the user has approved exactly this argv for the session."""
    can_confine: bool = True
    """Whether this system can confine commands."""

    @property
    def case(self) -> Case:
        """The column of the table. Without a sandbox there is nothing to escalate, and nothing to confine."""
        if self.escalated and self.mode != "danger-full-access":
            return "escalated"
        return "unknown" if self.command == "harmless_confined" and not self.can_confine else self.command


def _row(
    harmless: ExecutionVerdict, confined: ExecutionVerdict, unknown: ExecutionVerdict, dangerous: ExecutionVerdict
) -> dict[Case, ExecutionVerdict]:
    return {"harmless": harmless, "harmless_confined": confined, "unknown": unknown, "dangerous": dangerous}


def _sandboxed(escalated: ExecutionVerdict) -> dict[Case, ExecutionVerdict]:
    return {**_row("sandboxed", "sandboxed", "sandboxed", "sandboxed"), "escalated": escalated}


COMMANDS: Final[dict[tuple[ApprovalPolicy, SandboxMode], dict[Case, ExecutionVerdict]]] = {
    ("untrusted", "danger-full-access"): _row("run", "read-only", "ask", "ask"),
    ("untrusted", "read-only"): {**_row("sandboxed", "sandboxed", "ask", "ask"), "escalated": "ask"},
    ("untrusted", "workspace-write"): {**_row("read-only", "read-only", "ask", "ask"), "escalated": "ask"},
    ("on-failure", "danger-full-access"): _row("run", "run", "run", "ask"),
    ("on-failure", "read-only"): _sandboxed("sandboxed"),
    ("on-failure", "workspace-write"): _sandboxed("sandboxed"),
    ("on-request", "danger-full-access"): _row("run", "run", "run", "ask"),
    ("on-request", "read-only"): _sandboxed("ask"),
    ("on-request", "workspace-write"): _sandboxed("ask"),
    ("never", "danger-full-access"): _row("run", "run", "run", "run"),
    ("never", "read-only"): _sandboxed("refuse"),
    ("never", "workspace-write"): _sandboxed("refuse"),
}

PATCHES: Final[dict[tuple[ApprovalPolicy, SandboxMode], dict[Reach, PatchVerdict]]] = {
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
    "untrusted": {"timeout": "tell", "denied": "ask"},
    "on-failure": {"timeout": "tell", "denied": "ask"},
    "on-request": {"timeout": "tell", "denied": "tell"},
    "never": {"timeout": "tell", "denied": "tell"},
}


def decide_command(situation: Situation, justification: str | None = None) -> ExecutionDecision:
    """Decide about a command; `justification` is the model's reason for it."""
    if situation.remembered:
        return Run()
    match COMMANDS[situation.policy, situation.mode][situation.case]:
        case "run":
            return Run()
        case "sandboxed":
            return RunSandboxed()
        case "read-only":
            return RunReadOnly()
        case "refuse":
            return Refuse(ESCALATION_REFUSED)
        case "ask":
            unsolicited = _DELETES if situation.case == "dangerous" and situation.policy != "untrusted" else None
            return AskFirst(justification or unsolicited, Run(), EXEC_REJECTED_BY_USER)


def decide_patch(
    policy: ApprovalPolicy, mode: SandboxMode, paths: Collection[str], confinement: Confinement | None
) -> ExecutionDecision:
    """Decide about a patch that changes `paths`, all of them absolute, including both ends of a move.

    `confinement` is the result of `confine` for the sandbox policy and the conversation; links are not followed.
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
    """Decide what happens after a command has failed in the sandbox; `None`: the model is told.

    Approval of a retry is for one run, unless it is given for the session.
    """
    return AskFirst(RETRY_REASON, Run(), EXEC_REJECTED_BY_USER) if RETRIES[policy][failure] == "ask" else None


def decide_input(policy: ApprovalPolicy, mode: SandboxMode, *, confined: bool, remembered: bool) -> ExecutionDecision:
    """Decide about text for a running command, which can have the effect of another command.

    If there is a sandbox, it limits the effect. A command that runs outside the sandbox with the user's approval, or
    under a policy that trusts nothing, gets no text that the user has not seen.
    """
    free = mode == "danger-full-access" and policy != "untrusted"
    if confined or free or remembered:
        return Run()
    return Refuse(INPUT_UNDER_NEVER) if policy == "never" else AskFirst(None, Run(), INPUT_REJECTED_BY_USER)


_NEVER_A_DENIAL: Final = frozenset({0, 126, 127})
"""Exit codes that no denial causes: success, and a shell that found no program or one that is not executable."""
_BAD_CALL: Final = 31
"""SIGSYS, with which the system call filter kills a program. A shell reports it as 128 more."""
_WORDS_OF_DENIAL: Final = ("operation not permitted", "permission denied", "read-only file system", "eperm", "erofs")
_WORDS_WITHOUT_NETWORK: Final = (
    "network is unreachable",
    "could not resolve",
    "name resolution",
    "name or service not known",
    "eai_again",
    "enetunreach",
    "getaddrinfo",
)


class SandboxedEnd(msgspec.Struct, frozen=True):
    """How a command ended in the sandbox."""

    exit_code: int | None
    """`None` where a signal ended it."""
    signal: int | None = None
    timed_out: bool = False
    output: str = ""
    """Its output, or the end of that."""
    network: bool = False
    """Whether it had network access."""


def sandbox_failure(ending: SandboxedEnd) -> CommandFailure | None:
    """Tell whether the sandbox may be why a command failed; `None` if it is not, or if nothing failed.

    An ordinary exit code (a search without a match, a failing test) is not a denial. The kernel keeps no record of what
    it denies, so a denial is recognized by the exit code together with the output.
    """
    if ending.timed_out:
        return "timeout"
    return "denied" if looks_denied(ending) else None


def looks_denied(ending: SandboxedEnd) -> bool:
    """Tell whether the output and exit status of a command suggest that the sandbox denied it something."""
    if ending.signal == _BAD_CALL or ending.exit_code == 128 + _BAD_CALL:
        return True
    if ending.exit_code is None or ending.exit_code in _NEVER_A_DENIAL:
        return False
    words = _WORDS_OF_DENIAL if ending.network else (*_WORDS_OF_DENIAL, *_WORDS_WITHOUT_NETWORK)
    printed = ending.output.lower()
    return any(word in printed for word in words)

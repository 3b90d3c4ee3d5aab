"""A review on request: what the agent is asked for. Free of I/O."""

from greenroom.protocol.app_server.reviews import ReviewTarget
from greenroom.protocol.jsonrpc import INVALID_REQUEST
from greenroom.supervisor.frontend.request_params import RefusedError

_HOW = (
    "Review it as a careful colleague would: look for defects that the change brings in, not for matters of taste or "
    "for what was there before. Read as much of the code around it as you need. Change nothing. List each finding with "
    "its place (file and line), what goes wrong and when, and how severe it is, the gravest first; say so plainly if "
    "there is none. End with one sentence on whether the change can be merged."
)


def review_request(target: ReviewTarget) -> tuple[str, str]:
    """Return what the agent is asked for, and what the client shows as the subject. Raises `RefusedError`."""
    match target:
        case ReviewTarget(type="uncommittedChanges"):
            subject = "the uncommitted changes of the working tree"
            where = "staged, unstaged and untracked (`git status`, `git diff HEAD`)"
        case ReviewTarget(type="baseBranch", branch=str(branch)):
            subject = f"the changes against the branch {branch}"
            where = f"since the merge base (`git merge-base HEAD {branch}`, then `git diff` with it)"
        case ReviewTarget(type="commit", sha=str(sha)):
            title = f" ({target.title})" if target.title else ""
            subject = f"the commit {sha}{title}"
            where = f"as `git show {sha}` has it"
        case ReviewTarget(type="custom", instructions=str(instructions)) if instructions.strip():
            return instructions.strip(), instructions.strip().partition("\n")[0]
        case _:
            raise RefusedError(INVALID_REQUEST, f"invalid target of a review: {target.type}")
    return f"Review {subject}, {where}. {_HOW}", subject

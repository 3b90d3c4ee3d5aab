"""The exit codes of the commands, as a table for the manual and the documentation."""

from collections.abc import Mapping
from typing import Final, NamedTuple


class ExitCodes(NamedTuple):
    """The codes of some commands."""

    commands: tuple[str, ...]
    meanings: Mapping[int, str]


USAGE: Final = "The command line is wrong"
EXIT_CODES: Final = (
    ExitCodes(
        ("mcp-server", "app-server"),
        {
            0: "The client closed standard input, or SIGTERM, SIGINT or SIGHUP arrived, and all processes have ended",
            1: "The server could not start; standard error says why, and nothing is written to standard output",
            2: USAGE,
        },
    ),
    ExitCodes(
        ("serve",),
        {
            0: "A signal or `greenroom stop` has ended it",
            1: "It could not start",
            2: USAGE,
            3: "Another host serves this home",
        },
    ),
    ExitCodes(
        ("exec",),
        {
            0: "The turn has ended",
            1: "The turn has failed, or none could be run",
            2: USAGE,
        },
    ),
    ExitCodes(
        ("status",),
        {
            0: "All instances are well",
            1: f"{USAGE}, or there is no (such) instance",
            2: "An instance does not answer",
            3: "Something has failed: a conversation or a process was given up, a process is stopped or missing, the "
            "login needs the user, or an instance refused to answer",
        },
    ),
    ExitCodes(
        ("metrics",),
        {
            0: "All instances have told their metrics",
            1: f"{USAGE}, or there is no (such) instance",
            2: "An instance does not answer; the page has those of the others",
            3: "An instance refused; the page has those of the others",
        },
    ),
    ExitCodes(
        ("stop", "interrupt", "kill", "drain", "approvals", "approve"),
        {
            0: "Done",
            1: f"{USAGE}, or no such instance or conversation is there, or several are meant",
            2: "An instance does not answer, or has not ended within 10 s",
            3: "The instance refused, and says why",
        },
    ),
    ExitCodes(
        ("doctor",),
        {0: "All is well", 1: "There are warnings", 2: f"Something fails; or {USAGE[0].lower()}{USAGE[1:]}"},
    ),
    ExitCodes(("dashboard",), {0: "A signal has ended it", 1: "It could not start", 2: USAGE}),
    ExitCodes(
        ("node",),
        {0: "It has left, or a signal has ended it", 1: "It could not start, or the host has refused it", 2: USAGE},
    ),
    ExitCodes(
        ("sessions",),
        {
            0: "Done",
            1: f"{USAGE}, there is no such conversation, or `delete` was not confirmed",
            3: "A file cannot be read or written, or a conversation was in use",
        },
    ),
    ExitCodes(
        ("login", "logout", "mcp"),
        {0: "Done; for `login status`: there is a login", 1: "It has failed, or there is no login", 2: USAGE},
    ),
    ExitCodes(
        ("demo", "schema", "completion"), {0: "Done; for `demo`: all its checks pass", 1: "It has failed", 2: USAGE}
    ),
)


def codes_of(command: str) -> Mapping[int, str]:
    """Return the codes of a command; none where the table does not have it."""
    return next((found.meanings for found in EXIT_CODES if command in found.commands), {})

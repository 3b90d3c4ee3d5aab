"""Reads the arguments of `greenroom exec`, which are those of `codex exec`. Free of I/O, but for a look at images."""

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NoReturn, TypeAlias

from greenroom.supervisor.command_words import CONFIG_FLAGS
from greenroom.supervisor.options import ENGINES, LOG_LEVELS

Color: TypeAlias = Literal["always", "never", "auto"]

RESUME: Final = "resume"
ATTACH: Final = "--attach"
IMAGE_FLAGS: Final = ("-i", "--image")
UNSUPPORTED: Final = (
    "--approve-for-me",
    "--dangerously-bypass-hook-trust",
    "--ignore-user-config",
    "--strict-config",
    "--cyber-access-program",
)
"""Options of the reference that have no meaning here. They are refused by name rather than ignored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecCommandLine:
    """The command line."""

    prompt: str | None = None
    """`-` for standard input, which is also read where there is none."""
    resumes: bool = False
    session: str | None = None
    """Id or name of the conversation to go on with; `None` for the last one."""
    everywhere: bool = False
    """Whether the last conversation may be of another directory."""
    config: list[str] = field(default_factory=list)
    """`key=value`, in order."""
    model: str | None = None
    profile: str | None = None
    sandbox: Literal["read-only", "workspace-write", "danger-full-access"] | None = None
    cwd: str | None = None
    directories: list[str] = field(default_factory=list)
    """Further directories to write to."""
    images: list[str] = field(default_factory=list)
    without_git: bool = False
    bypass: bool = False
    """Whether commands run without a sandbox, and nothing has to be approved."""
    worktree: bool = False
    """Whether the conversation gets a git worktree of its own."""
    ephemeral: bool = False
    thread_source: str | None = None
    output_schema: str | None = None
    last_message: str | None = None
    as_lines: bool = False
    color: Color = "auto"
    oss: bool = False
    attach: str | None = None
    """Whether to have the turn run by a host; `None` for what the configuration says."""
    engine: str | None = None
    log_level: str | None = None


def parse_exec_words(words: Sequence[str], is_file: Callable[[str], bool] = os.path.isfile) -> ExecCommandLine:
    """Read the words after `exec`. Raises `SystemExit` (2) where they are invalid, or (0) where they ask for help."""
    parser = make_parser()
    found = parser.parse_intermixed_args(list(_one_image_each(words, is_file)))
    positional: list[str] = found.words
    resumes = positional[:1] == [RESUME]
    if resumes:
        positional = positional[1:]
        found.session = None if found.last or not positional else positional.pop(0)
        if found.session is None and not found.last:
            parser.error("which conversation? Give an id or a name, or `--last`")
    elif found.last or found.everywhere:
        parser.error("`--last` and `--all` belong to `resume`")
    if found.worktree and (resumes or found.ephemeral):
        parser.error("`--worktree` belongs to a new conversation that is saved")
    if len(positional) > 1:
        parser.error(f"unexpected argument: {positional[1]}")
    for feature, is_on in found.features:
        found.config.append(f"features.{feature}={is_on}")
    if found.ignore_rules:
        found.config.append("greenroom.ignore_rules=true")
    if found.local_provider is not None:
        found.config.append(f"oss_provider={found.local_provider}")
    known = {name: value for name, value in vars(found).items() if name in ExecCommandLine.__slots__}
    return ExecCommandLine(**{**known, "prompt": positional[0] if positional else None, "resumes": resumes})


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of these arguments. What it accepts is not all that `parse_exec_words` does."""
    parser = argparse.ArgumentParser(
        prog="greenroom exec",
        description="Run one turn, and end.",
        usage="%(prog)s [OPTIONS] [PROMPT]\n       %(prog)s [OPTIONS] resume (ID | NAME | --last) [PROMPT]",
        allow_abbrev=False,
    )
    parser.add_argument("words", nargs="*", metavar="PROMPT", help="`-` or nothing: read it from standard input")
    parser.add_argument(*CONFIG_FLAGS, action="append", default=[], metavar="KEY=VALUE", help="a setting")
    _add_conversation(parser)
    _add_sandbox(parser)
    _add_output(parser)
    _add_resume(parser)
    parser.add_argument("--oss", action="store_true", help="use a model server of this machine, such as Ollama")
    parser.add_argument("--local-provider", metavar="NAME", help="which one")
    parser.add_argument("--enable", action=_Feature, const="true", metavar="FEATURE", help="switch a feature on")
    parser.add_argument("--disable", action=_Feature, const="false", metavar="FEATURE", help="switch a feature off")
    parser.add_argument("--engine", choices=ENGINES, help="how processes are started (default: fork on Linux)")
    parser.add_argument("--log-level", choices=LOG_LEVELS, help="what is logged on standard error")
    parser.add_argument(
        ATTACH,
        nargs="?",
        const="require",
        choices=("auto", "off", "require"),
        metavar="MODE",
        help="let the running host of the home run the turn",
    )
    parser.set_defaults(features=[], session=None)
    for flag in UNSUPPORTED:
        parser.add_argument(flag, action=_Unsupported, nargs="?", help=argparse.SUPPRESS)
    return parser


def _add_conversation(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-m", "--model", help="the model")
    parser.add_argument("-p", "--profile", metavar="NAME", help="a profile of config.toml")
    parser.add_argument("-C", "--cd", dest="cwd", metavar="DIR", help="the directory to work in")
    parser.add_argument(*IMAGE_FLAGS, dest="images", action="append", default=[], metavar="FILE", help="show an image")
    parser.add_argument("--worktree", action="store_true", help="work in a new git worktree")
    parser.add_argument("--output-schema", metavar="FILE", help="JSON Schema that the last message must fit")
    parser.add_argument("--thread-source", metavar="SOURCE", help="what has caused the conversation, for its file")
    parser.add_argument("--ephemeral", action="store_true", help="save nothing")


def _add_sandbox(parser: argparse.ArgumentParser) -> None:
    modes = ("read-only", "workspace-write", "danger-full-access")
    parser.add_argument("-s", "--sandbox", choices=modes, help="what commands may do")
    parser.add_argument(
        "--add-dir", dest="directories", action="append", default=[], metavar="DIR", help="let commands write there too"
    )
    parser.add_argument(
        "--dangerously-bypass-approvals-and-sandbox",
        "--yolo",
        dest="bypass",
        action="store_true",
        help="run all commands, without a sandbox",
    )
    parser.add_argument(
        "--ignore-rules", action="store_true", help="leave the `.rules` files of the home and of the project unread"
    )
    parser.add_argument(
        "--skip-git-repo-check", dest="without_git", action="store_true", help="work outside a Git repository too"
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json", "--experimental-json", dest="as_lines", action="store_true", help="write events to standard output"
    )
    parser.add_argument(
        "-o", "--output-last-message", dest="last_message", metavar="FILE", help="write the last message to a file"
    )
    parser.add_argument("--color", choices=("always", "never", "auto"), default="auto", help="on standard error")


def _add_resume(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--last", action="store_true", help="with resume: the newest conversation of this directory")
    parser.add_argument("--all", dest="everywhere", action="store_true", help="with --last: of any directory")


def _one_image_each(words: Sequence[str], is_file: Callable[[str], bool]) -> Iterator[str]:
    """Yield the words with a flag before each image: one flag may stand before several, or before a list.

    A word that names no file ends them: it is the prompt, or `resume`.
    """
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == ATTACH:  # its value is never a word of its own: that is the prompt
            yield f"{ATTACH}=require"
            continue
        if word == "--":
            yield from (word, *rest)
            return
        if word not in IMAGE_FLAGS or not rest:
            yield word
            continue
        values = [rest.pop(0)]
        while rest and not rest[0].startswith("-") and all(map(is_file, _listed(rest[0], is_file))):
            values.append(rest.pop(0))
        for value in values:
            for image in _listed(value, is_file):
                yield f"{IMAGE_FLAGS[1]}={image}"


def _listed(value: str, is_file: Callable[[str], bool]) -> list[str]:
    return [value] if is_file(value) else value.split(",")


class _Feature(argparse.Action):
    """Collects the features that are switched on or off."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        del parser, option_string
        namespace.features = [*namespace.features, (values, self.const)]


class _Unsupported(argparse.Action):
    """Refuses an option by name."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> NoReturn:
        del namespace, values
        parser.error(f"{option_string} is not supported")

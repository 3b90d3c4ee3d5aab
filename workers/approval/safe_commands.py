"""Tells harmless commands from dangerous ones, by their words.

Harmless means: it reads and prints, whatever its arguments say. All that is not known to be so is unknown. Dangerous is
a hint for the user where no sandbox bounds what a command does; it protects nobody from a command that hides.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import dropwhile, takewhile
from typing import Final, Literal, TypeAlias

from greenroom.workers.approval.script import PlainCommand, Word, plain_commands

CommandClass: TypeAlias = Literal["harmless", "unknown", "dangerous"]

ALWAYS_HARMLESS: Final = frozenset(
    {
        *("cat", "cd", "cut", "echo", "expr", "false", "grep", "head", "id", "ls", "nl", "numfmt", "paste", "pwd"),
        *("rev", "seq", "stat", "tac", "tail", "tr", "true", "uname", "wc", "which", "whoami"),
    }
)
"""Programs that only read and print, with any arguments."""

SYSTEM_DIRECTORIES: Final = ("/bin/", "/usr/bin/")
"""Where a program of a harmless name is that program."""

SHELLS: Final = frozenset({"bash", "sh", "zsh"})
SCRIPT_FLAGS: Final = frozenset({"-c", "-lc"})
DEEPEST_SCRIPT: Final = 8

_Test: TypeAlias = Callable[[Sequence[str]], bool]
"""Says whether the arguments of a program are harmless."""


@dataclass(frozen=True, slots=True)
class Restriction:
    """Under which arguments a program is harmless."""

    rule: str
    """For people."""
    holds: _Test


def classify(argv: Sequence[str]) -> CommandClass:
    """Return the class of a command."""
    commands = _commands(argv)
    if commands is not None and all(map(_is_harmless, commands)):
        return "harmless"
    return "dangerous" if _is_dangerous(tuple(argv), DEEPEST_SCRIPT) else "unknown"


def _commands(argv: Sequence[str]) -> Sequence[PlainCommand] | None:
    """Return the plain commands that a command consists of: itself, or those of its script."""
    script = script_of(argv)
    return (PlainCommand(tuple(map(Word, argv))),) if script is None else plain_commands(script)


def script_of(argv: Sequence[str]) -> str | None:
    """Return the script that an argv hands to a shell; `None` where it is no such argv."""
    match argv:
        case [shell, flag, script] if program_name(shell) in SHELLS and flag in SCRIPT_FLAGS:
            return script
        case _:
            return None


def program_name(program: str) -> str:
    """Return the name of a program without the system directory in which it lies. Other paths stand for themselves."""
    directory = next((known for known in SYSTEM_DIRECTORIES if program.startswith(known)), "")
    return program.removeprefix(directory)


def _is_harmless(command: PlainCommand) -> bool:
    if not command.words:
        return False
    name, arguments = program_name(command.argv[0]), command.argv[1:]
    if name in ALWAYS_HARMLESS:
        return True
    restriction = RESTRICTED.get(name)
    return restriction is not None and not any(map(_may_become_option, command.words)) and restriction.holds(arguments)


def _may_become_option(word: Word) -> bool:
    """Say whether a file could be named so that bash makes an option of this word."""
    return word.pattern and word.text.startswith(("-", "*", "?"))


# Programs that are harmless with some arguments

_FIND_ACTIONS: Final = frozenset(
    {"-exec", "-execdir", "-ok", "-okdir", "-delete", "-fls", "-fprint", "-fprint0", "-fprintf"}
)
_RG_RUNS_PROGRAMS: Final = ("--search-zip", "--pre", "--hostname-bin")
_RG_SHORT_Z: Final = re.compile(r"-[^-]*z")
_SED_RANGE: Final = re.compile(r"[0-9]+(,[0-9]+)?p", re.ASCII)


def _find(arguments: Sequence[str]) -> bool:
    return _FIND_ACTIONS.isdisjoint(arguments)


def _rg(arguments: Sequence[str]) -> bool:
    return not any(
        _RG_SHORT_Z.match(word) or any(word == option or word.startswith(f"{option}=") for option in _RG_RUNS_PROGRAMS)
        for word in arguments
    )


def _sed(arguments: Sequence[str]) -> bool:
    match arguments:
        case ["-n", lines]:
            return bool(_SED_RANGE.fullmatch(lines))
        case ["-n", lines, file]:
            return bool(_SED_RANGE.fullmatch(lines)) and file != "" and not file.startswith("-")
        case _:
            return False


def _base64(arguments: Sequence[str]) -> bool:
    return not any(word.startswith(("-o", "--o")) for word in arguments)


def _uniq(arguments: Sequence[str]) -> bool:
    return sum(not word.startswith("-") for word in arguments) <= 1 and "--" not in arguments


# git: what is not listed is not harmless, since git takes shortened options and many write, run programs or both


@dataclass(frozen=True, slots=True)
class GitOptions:
    """The options with which a subcommand only reads, and runs nothing that the user has not configured."""

    plain: frozenset[str]
    valued: frozenset[str]
    """Followed by `=` and anything."""
    attached: tuple[str, ...] = ()
    """Followed at once by anything."""
    counted: bool = False
    """Whether a number can be an option."""

    def know(self, word: str) -> bool:
        """Say whether a word is one of them."""
        name, _, value = word.partition("=")
        return (
            word in self.plain
            or (bool(value) and name in self.valued)
            or (len(word) > 2 and word.startswith(self.attached))
            or (self.counted and word[1:].isdecimal())
        )


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DIFF_PLAIN: Final = _words(
    "-- -p -u --patch --no-patch -s --raw --stat --numstat --shortstat --summary --compact-summary --dirstat"
    " --name-only --name-status -w -b --ignore-all-space --ignore-space-change --ignore-blank-lines --word-diff"
    " --color --no-color -M -C --find-renames --no-renames --minimal --patience --histogram -S -G -R -a --text"
    " --full-index --binary --abbrev -z --check --relative --no-prefix --no-ext-diff --no-textconv --exit-code"
    " --quiet -q --function-context -W"
)
_DIFF_VALUED: Final = _words(
    "--stat --dirstat --unified --word-diff --color --find-renames --diff-filter --abbrev --relative"
)
_DIFF_ATTACHED: Final = ("-U", "-M", "-C", "-S", "-G")
_LOG: Final = GitOptions(
    plain=_DIFF_PLAIN
    | _words(
        "--oneline --graph --decorate --no-decorate --all --branches --tags --remotes -n -i -E -F --all-match"
        " --invert-grep --merges --no-merges --first-parent --reverse --topo-order --date-order --follow --pretty"
        " --abbrev-commit --no-abbrev-commit --parents --children --left-right --cherry-pick -L --full-history"
        " --simplify-merges --source --notes --no-notes -m -c --cc"
    ),
    valued=_DIFF_VALUED
    | _words(
        "--decorate --max-count --skip --since --after --until --before --author --committer --grep --format --pretty"
        " --date --branches --tags --remotes"
    ),
    attached=(*_DIFF_ATTACHED, "-n", "-L"),
    counted=True,
)
GIT_OPTIONS: Final[dict[str, GitOptions]] = {
    "branch": GitOptions(
        plain=_words(
            "-a --all -r --remotes -v -vv -av -avv --verbose -l --list --show-current --contains --no-contains --merged"
            " --no-merged --color --no-color --no-abbrev --abbrev --column --no-column -i --ignore-case"
        ),
        valued=_words(
            "--contains --no-contains --merged --no-merged --points-at --format --sort --color --abbrev --column"
        ),
    ),
    "diff": GitOptions(
        plain=_DIFF_PLAIN | _words("--cached --staged --merge-base --cc --base --ours --theirs"),
        valued=_DIFF_VALUED,
        attached=_DIFF_ATTACHED,
    ),
    "log": _LOG,
    "show": _LOG,
    "status": GitOptions(
        plain=_words(
            "-- -s --short -sb -b --branch --show-stash --porcelain --long -v -vv --verbose -u --untracked-files"
            " --ignored -z --no-renames --column --no-column --ahead-behind --no-ahead-behind --ignore-submodules"
        ),
        valued=_words("--porcelain --untracked-files --ignored --column --ignore-submodules"),
        attached=("-u",),
    ),
}

_GIT_GLOBAL: Final = _words("--no-pager -P --no-optional-locks")
_GIT_LISTS: Final = _words("-l --list --contains --no-contains --merged --no-merged --points-at")
"""Options of `git branch` beside which a name is a pattern or a commit, and not a branch to make."""


def _git(arguments: Sequence[str]) -> bool:
    rest = list(dropwhile(_GIT_GLOBAL.__contains__, arguments))
    if not rest or rest[0] not in GIT_OPTIONS:
        return False
    subcommand, *words = rest
    options = [word for word in takewhile(lambda word: word != "--", words) if word.startswith("-")]
    if not all(map(GIT_OPTIONS[subcommand].know, options)):
        return False
    lists = any(word.partition("=")[0] in _GIT_LISTS for word in options)
    return subcommand != "branch" or lists or options == words


RESTRICTED: Final[dict[str, Restriction]] = {
    "base64": Restriction("without `-o`, `--output`", _base64),
    "find": Restriction(f"without {', '.join(f'`{action}`' for action in sorted(_FIND_ACTIONS))}", _find),
    "git": Restriction(
        f"{', '.join(f'`{subcommand}`' for subcommand in GIT_OPTIONS)}, with options that only read; "
        "`branch` only where it lists",
        _git,
    ),
    "rg": Restriction("without `-z`, `--search-zip`, `--pre`, `--hostname-bin`", _rg),
    "sed": Restriction("`sed -n {N}p` or `sed -n {M},{N}p`, with at most one file", _sed),
    "uniq": Restriction("with at most one file", _uniq),
}


# Dangerous

_WRAPPERS: Final = frozenset({"sudo", "env"})
_FORCE: Final = re.compile(r"-[^-]*f.*|--force")
_NAMED: Final = re.compile(r"\w+=.*", re.DOTALL)


def _is_dangerous(argv: Sequence[str], depth: int) -> bool:
    """Say whether a command removes files without asking, also behind a wrapper or in a script."""
    if not argv or depth == 0:
        return False
    name = argv[0].rpartition("/")[2]
    if name == "rm":
        return any(map(_FORCE.fullmatch, _options(argv[1:])))
    if name in _WRAPPERS:
        return _is_dangerous(_wrapped(argv[1:]), depth - 1)
    script = script_of((name, *argv[1:]))
    commands = plain_commands(script) if script is not None else None
    return any(_is_dangerous(command.argv, depth - 1) for command in commands or ())


def _options(words: Sequence[str]) -> Iterator[str]:
    for word in words:
        if word == "--":
            return
        yield word


def _wrapped(words: Sequence[str]) -> Sequence[str]:
    """Return the command behind the options and the variables of a wrapper."""
    start = next(
        (index for index, word in enumerate(words) if not word.startswith("-") and not _NAMED.match(word)), None
    )
    return words[start:] if start is not None else ()

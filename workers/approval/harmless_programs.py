"""The programs that are harmless, and with which arguments: they read and print, write no file and start no program.

What is not in these tables is not harmless.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from greenroom.workers.approval.option_grammar import Arguments, Arity, OptionGrammar, is_glob
from greenroom.workers.exec.script import Word

ANY_ARGUMENTS: Final = frozenset(
    {
        *("cat", "cd", "cut", "echo", "expr", "false", "grep", "head", "id", "ls", "nl", "numfmt", "paste", "pwd"),
        *("rev", "seq", "stat", "tac", "tail", "tr", "true", "uname", "wc", "which", "whoami"),
    }
)
"""Programs none of whose options writes or starts anything, and none of whose operands is written to."""

HarmlessCheck: TypeAlias = Callable[[Sequence[Word]], bool]
"""Tells whether the words behind a program are harmless."""


class HarmlessProgram(msgspec.Struct, frozen=True):
    """Under which arguments a program is harmless."""

    rule: str
    """For people."""
    is_harmless: HarmlessCheck
    needs_sandbox: bool = False
    """Whether the directory in which it runs may make it start programs: then it is harmless in a read-only sandbox
    only."""


def _table(flags: str = "", one: str = "", attached: str = "") -> Mapping[str, Arity]:
    """Return the options of three lists of names. Letters that follow a single dash are options each: `-abc`."""
    table: dict[str, Arity] = {}
    arities: tuple[tuple[Arity, str], ...] = (("none", flags), ("one", one), ("attached", attached))
    for arity, names in arities:
        for name in names.split():
            single = not name.startswith("--")
            table.update(dict.fromkeys((f"-{letter}" for letter in name[1:]) if single else (name,), arity))
    return table


class _Reader(msgspec.Struct, frozen=True):
    """A program of the usual kind: options of a grammar, and so many operands, all of which it only reads."""

    grammar: OptionGrammar
    most: int | None = None
    """The operand behind this many is written to; `None` where none is."""

    def __call__(self, words: Sequence[Word]) -> bool:
        arguments = self.grammar.read(words)
        if arguments is None:
            return False
        return self.most is None or (len(arguments.operands) <= self.most and not arguments.may_be_more)


_BASE64: Final = _Reader(
    OptionGrammar(_table("-di --decode --ignore-garbage --help --version", one="-w --wrap"), interleaved=False), most=1
)
_UNIQ: Final = _Reader(
    OptionGrammar(
        _table(
            "-cdDiuz --count --repeated --ignore-case --unique --zero-terminated --help --version",
            one="-fsw --skip-fields --skip-chars --check-chars",
            attached="--all-repeated --group",
        ),
        interleaved=False,
    ),
    most=1,
)
_RG: Final = _Reader(
    OptionGrammar(
        _table(
            "-nNiSswxvcloFUPHIapqL0u --line-number --no-line-number --ignore-case --smart-case --case-sensitive"
            " --word-regexp --line-regexp --invert-match --count --count-matches --files-with-matches"
            " --files-without-match --only-matching --fixed-strings --multiline --multiline-dotall --pcre2"
            " --with-filename --no-filename --text --pretty --quiet --follow --null --null-data --unrestricted --hidden"
            " --no-ignore --no-ignore-vcs --no-ignore-parent --no-ignore-global --no-config --no-messages --files"
            " --heading --no-heading --column --vimgrep --json --stats --trim --crlf --passthru --byte-offset"
            " --glob-case-insensitive --one-file-system --sort-files --type-list --version --help --no-mmap --mmap"
            " --no-unicode --block-buffered --line-buffered --no-hidden --no-follow --max-columns-preview",
            one="-efgABCmMrtTjdE --regexp --file --glob --iglob --after-context --before-context --context --max-count"
            " --max-columns --replace --type --type-not --threads --max-depth --encoding --color --colors --sort"
            " --sortr --max-filesize --context-separator --field-match-separator --ignore-file --engine"
            " --dfa-size-limit --regex-size-limit --path-separator",
        )
    )
)

_SED_RANGE: Final = re.compile(r"[0-9]+(,[0-9]+)?p", re.ASCII)


def _sed(words: Sequence[Word]) -> bool:
    match words:
        case [Word("-n", False), Word(lines, False), *files]:
            readable = all(file.text != "" and file.text[0] not in "-*?" for file in files)
            return bool(_SED_RANGE.fullmatch(lines)) and readable
        case _:
            return False


# find: paths, then an expression in a language of its own

_FIND_FIRST: Final = frozenset({"-H", "-L", "-P"})
_FIND_PLAIN: Final = (
    "! ( ) , -a -and -o -or -not -depth -d -xdev -mount -follow -noleaf -daystart -empty -true -false -readable"
    " -writable -executable -nouser -nogroup -print -print0 -prune -quit -ls -ignore_readdir_race -warn -nowarn"
)
_FIND_VALUED: Final = (
    "-name -iname -path -ipath -wholename -iwholename -regex -iregex -regextype -type -xtype -size -mtime -mmin -atime"
    " -amin -ctime -cmin -newer -anewer -cnewer -user -group -uid -gid -perm -links -inum -samefile -lname -ilname"
    " -fstype -maxdepth -mindepth -used -printf"
)
_FIND_ARITY: Final[Mapping[str, int]] = dict.fromkeys(_FIND_PLAIN.split(), 0) | dict.fromkeys(_FIND_VALUED.split(), 1)
_FIND_NEWER: Final = re.compile(r"-newer[aBcm][aBcmt]")


def _find(words: Sequence[Word]) -> bool:
    rest = list(words)
    while rest and rest[0].text in _FIND_FIRST:
        rest.pop(0)
    while rest and not (rest[0].text.startswith("-") or rest[0].text in ("!", "(", ")", ",")):
        path = rest.pop(0)
        if is_glob(path) and path.text[0] in "*?":
            return False
    while rest:
        word = rest.pop(0)
        arity = 1 if _FIND_NEWER.fullmatch(word.text) else _FIND_ARITY.get(word.text)
        if arity is None or word.pattern or len(rest) < arity or any(is_glob(value) for value in rest[:arity]):
            return False
        del rest[:arity]
    return True


# git: its options are not getopt's: they are not written together, and some values must be attached


_DIFF: Final = _table(
    "-p -u --patch --no-patch -s --raw --numstat --shortstat --summary --compact-summary --name-only --name-status -w"
    " -b --ignore-all-space --ignore-space-change --ignore-blank-lines --no-color --no-renames --minimal --patience"
    " --histogram -R -a --text --full-index --binary --check --no-prefix --no-ext-diff --no-textconv --exit-code"
    " --quiet -q --function-context -W -z",
    one="-S -G --diff-filter",
    attached="-U -M -C --stat --dirstat --unified --word-diff --color --find-renames --find-copies --abbrev --relative",
)
_LOG: Final = {
    **_DIFF,
    **_table(
        "--oneline --graph --no-decorate --all -i -E -F --all-match --invert-grep --merges --no-merges --first-parent"
        " --reverse --topo-order --date-order --follow --abbrev-commit --no-abbrev-commit --parents --children"
        " --left-right --cherry-pick --full-history --simplify-merges --source --no-notes -m -c --cc",
        one="-n -L --max-count --skip --since --after --until --before --author --committer --grep --format --date",
        attached="--decorate --branches --tags --remotes --pretty --notes",
    ),
}
GIT_SUBCOMMANDS: Final[Mapping[str, OptionGrammar]] = {
    "branch": OptionGrammar(
        _table(
            "-avrli --all --remotes --verbose --list --show-current --no-color --no-abbrev --no-column --ignore-case",
            attached="--contains --no-contains --merged --no-merged --points-at --format --sort --color --abbrev"
            " --column",
        )
    ),
    "diff": OptionGrammar(
        {**_DIFF, **_table("--cached --staged --merge-base --cc --base --ours --theirs")}, clusters=False
    ),
    "log": OptionGrammar(_LOG, numbers=True, clusters=False),
    "show": OptionGrammar(_LOG, numbers=True, clusters=False),
    "status": OptionGrammar(
        _table(
            "-sbvz --short --branch --show-stash --long --verbose --no-renames --no-column --ahead-behind"
            " --no-ahead-behind",
            attached="-u --porcelain --untracked-files --ignored --column --ignore-submodules",
        )
    ),
}
_GIT_GLOBAL: Final = frozenset({"--no-pager", "-P", "--no-optional-locks"})
_GIT_LISTS: Final = frozenset({"-l", "--list", "--contains", "--no-contains", "--merged", "--no-merged", "--points-at"})
"""Options of `git branch` beside which a name is a pattern or a commit, and not a branch to make."""


def _git(words: Sequence[Word]) -> bool:
    rest = list(words)
    while rest and rest[0].text in _GIT_GLOBAL:
        rest.pop(0)
    grammar = GIT_SUBCOMMANDS.get(rest[0].text) if rest and not rest[0].pattern else None
    arguments = None if grammar is None else grammar.read(rest[1:])
    if arguments is None:
        return False
    return rest[0].text != "branch" or not arguments.operands or _lists(arguments)


def _lists(arguments: Arguments) -> bool:
    return any(option.name in _GIT_LISTS for option in arguments.options)


PROGRAMS: Final[Mapping[str, HarmlessProgram]] = {
    "base64": HarmlessProgram("with `-d`, `-i`, `-w` and their long names, and at most one file", _BASE64),
    "find": HarmlessProgram(
        "with tests, and of the actions `-print`, `-print0`, `-printf`, `-ls`, `-prune`, `-quit`", _find
    ),
    "git": HarmlessProgram(
        f"{', '.join(f'`{name}`' for name in GIT_SUBCOMMANDS)}, with options that only read, `branch` only where it "
        "lists; in a read-only sandbox, since a repository may name programs that git starts",
        _git,
        needs_sandbox=True,
    ),
    "rg": HarmlessProgram("with options that only read (not `-z`, `--pre`, `--hostname-bin`)", _RG),
    "sed": HarmlessProgram("`sed -n {N}p` or `sed -n {M},{N}p`, with files", _sed),
    "uniq": HarmlessProgram("with options that only read, before at most one file: the second is written to", _UNIQ),
}
"""Programs that are harmless with some arguments."""

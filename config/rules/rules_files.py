"""Finds and reads the `.rules` files of the home, and of a project that the user trusts."""

import os
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from greenroom.config.encoding import decode_text
from greenroom.config.reader import Reader
from greenroom.config.reason import reason
from greenroom.config.rules.rules import NO_RULES, PrefixRule, Rules

FOLDER: Final = "rules"
SUFFIX: Final = ".rules"
PROJECT_FOLDER: Final = os.path.join(".codex", FOLDER)
MAX_FILES: Final = 100
"""Files of one folder that are read."""


class FoundRules(msgspec.Struct, frozen=True):
    """The rules that apply, and what is wrong with files."""

    rules: Rules = NO_RULES
    warnings: tuple[str, ...] = ()


def find_rules(home: str, trusted_project: str | None, reader: Reader) -> FoundRules:
    """Read the rules of a home and, after them, of the root of a project that the user trusts."""
    folders = [os.path.join(home, FOLDER)]
    if trusted_project is not None:
        folders.append(os.path.join(trusted_project, PROJECT_FOLDER))
    faults: list[str] = []
    paths = [path for folder in dict.fromkeys(folders) for path in _paths(folder, faults)]
    if not paths and not faults:
        return FoundRules()
    found = [rules for path in paths if (rules := _read(path, reader, faults)) is not None]
    return FoundRules(_joined(found, complete=not faults), tuple(faults))


def _paths(folder: str, faults: list[str]) -> Sequence[str]:
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(SUFFIX))
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        faults.append(_fault(folder, reason(error)))
        return ()
    if len(names) > MAX_FILES:
        faults.append(_fault(folder, f"it has more than {MAX_FILES} files"))
    return [os.path.join(folder, name) for name in names[:MAX_FILES]]


def _read(path: str, reader: Reader, faults: list[str]) -> Rules | None:
    from greenroom.config.rules.rules_language import MAX_BYTES, RulesError, parse_rules

    try:
        return parse_rules(decode_text(reader.read(path, MAX_BYTES)))
    except RulesError as error:
        faults.append(_fault(path, str(error)))
    except (OSError, ValueError) as error:
        faults.append(_fault(path, reason(error)))
    return None


def _fault(path: str, fault: str) -> str:
    return f"{path} cannot be used: {fault}. Until it can, no rule allows a command; other rules apply."


def _joined(found: Iterable[Rules], *, complete: bool) -> Rules:
    prefixes: list[PrefixRule] = []
    executables: dict[str, frozenset[str]] = {}
    for rules in found:
        prefixes += rules.prefixes
        for name, at in rules.executables.items():  # where files differ, only what all of them say is certain
            executables[name] = executables.get(name, at) & at
    return Rules(tuple(prefixes), executables, complete)

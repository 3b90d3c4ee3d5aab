"""Which programs take part in a measurement, as far as the machine has them or they can be fetched."""

import subprocess
import sys
from collections.abc import Sequence

from benchmarks.experiments import Experiment
from benchmarks.interpreters import Uninstalled, others
from benchmarks.reference_program import LAST_MCP_SERVER, Found, Missing, Release, ensure_reference
from benchmarks.reference_program import NEWEST as NEWEST_RELEASE
from benchmarks.subject import (
    LAUNCHED,
    NEWEST,
    REFERENCE,
    Subject,
    app_servers,
    attached,
    greenroom,
    newest_reference,
    reference,
)


class Participants:
    """Those that some of the experiments include, and what the page says of them."""

    def __init__(self, experiments: Sequence[Experiment]) -> None:
        self._experiments = experiments
        self.found: list[Subject] = []
        self.remarks: list[str] = []

    def add_greenroom(self, *, on_all_interpreters: bool) -> None:
        """Find our own program, in all forms in which it is wanted."""
        self.remarks.append(f"Greenroom: {_version(greenroom())}")
        for own in (greenroom(), attached(), *app_servers()):
            self._add(own)
        wanted = any(experiment.on_each_interpreter for experiment in self._experiments)
        for other in others() if wanted and on_all_interpreters else []:
            if isinstance(other, Uninstalled):
                self.remarks.append("It was not measured on CPython {}.{}: {}".format(*other.version, other.reason))
            else:
                self._add(other)

    def add_references(self) -> None:
        """Find the reference: the last release with an MCP server, and the newest one."""
        if self._wants(REFERENCE) or self._wants(LAUNCHED):
            program = self._fetched(LAST_MCP_SERVER)
            if program is not None:
                self._add(reference(program.path))
                self.remarks.append(f"Reference: {_version(reference(program.path))}, {program.description}")
                self._add_launched()
        if self._wants(NEWEST):
            program = self._fetched(NEWEST_RELEASE)
            if program is not None:
                newest = newest_reference(program.path)
                self._add(newest)
                self.remarks.append(f"Reference of the rows on app-server: {_version(newest)}, {program.description}")

    def _add_launched(self) -> None:
        launcher = ensure_reference(launcher=True)
        if isinstance(launcher, Missing):
            self.remarks.append(f"It was not started through its launcher: {launcher.reason}")
            return
        launched = reference(launcher.path, LAUNCHED)
        self._add(launched)
        self.remarks.append(f"In rows that say so: {_version(launched)}, {launcher.description}")

    def _fetched(self, release: Release) -> Found | None:
        program = ensure_reference(release=release)
        if isinstance(program, Found):
            return program
        reason = f"{program.reason} (${release.variable} may name one)"
        self.remarks.append(f"The reference {release.version} was left out: {reason}")
        print(self.remarks[-1], file=sys.stderr)
        return None

    def _add(self, subject: Subject) -> None:
        if self._wants(subject.name):
            self.found.append(subject)

    def _wants(self, name: str) -> bool:
        return any(experiment.takes(name) for experiment in self._experiments)


def _version(subject: Subject) -> str:
    try:
        asked = [subject.command[0], "--version"]
        return subprocess.run(asked, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "of unknown version"

"""Checks of the program itself: what it runs on, what it consists of, and whether there is a newer version."""

import importlib.metadata
import importlib.util
import os
import platform
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from greenroom.config.tables.greenroom import server_settings
from greenroom.config.tables.otel import otel_settings
from greenroom.protocol.errors import ConfigError
from greenroom.protocol.version import __version__
from greenroom.runtime.threads.daemon_thread import in_thread
from greenroom.supervisor.cli.doctor.check_context import CheckContext
from greenroom.supervisor.cli.doctor.finding import Detail, Finding, Problem, combined_finding
from greenroom.supervisor.startup.prelaunch import FORK_IS_SAFE, without_secrets

NAME: Final = "greenroom"
KEYRING: Final = frozenset({"keyring", "auto"})
"""Values of `cli_auth_credentials_store` for which the extra `keyring` is needed."""
_REQUIREMENT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_OFFERED: Final = re.compile(rf"^{NAME} \(([^)\s]+)\)", re.MULTILINE)


async def installation(context: CheckContext) -> Finding:
    """Tell whether the program is complete, and the one that is started by its name."""
    return await in_thread(lambda: _installation(context))


async def provenance(context: CheckContext) -> Finding:
    """Tell which version this is, and which interpreter runs it on which system."""
    details: dict[str, Detail] = {
        "version": __version__,
        "program": os.path.abspath(sys.argv[0]) if sys.argv and sys.argv[0] else "",
        "package": os.path.dirname(os.path.dirname(os.path.abspath(importlib.import_module(NAME).__file__ or ""))),
        "interpreter": sys.executable,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "engine": await in_thread(lambda: _engine(context)),
    }
    return Finding("ok", f"greenroom {__version__} on Python {platform.python_version()}", details)


async def updates(context: CheckContext) -> Finding:
    """Ask the package index that pip is configured for, if that is wanted (`--online`)."""
    if not context.online:
        return Finding("ok", "not asked for; `--online` asks the package index", {"version": __version__})
    said, fault = await in_thread(lambda: _ask_index(context))
    details: dict[str, Detail] = {"version": __version__}
    if fault:
        remedy = f"Run `pip index versions {NAME}` by hand, and see what it says."
        return Finding("warning", f"the package index cannot be asked: {fault}", details, remedy)
    match = _OFFERED.search(said)
    if match is None:
        return Finding("warning", "the package index offers no version", details, "Check the index that pip uses.")
    details["offered"] = match[1]
    if match[1] == __version__:
        return Finding("ok", f"{__version__} is what the package index offers", details)
    remedy = f"If it is newer, install it as this one was: `pip install --upgrade {NAME}`, `pipx upgrade {NAME}`, …"
    return Finding("warning", f"the package index offers {match[1]}, and this is {__version__}", details, remedy)


def _installation(context: CheckContext) -> Finding:
    details: dict[str, Detail] = {}
    problems = list(_of_dependencies(context, details))
    first = context.machine.which(NAME, context.search_path)
    own = os.path.join(sys.prefix, "bin", NAME)
    if first is not None:
        details["on PATH"] = first
        if os.path.exists(own) and os.path.realpath(first) != os.path.realpath(own):
            text = f"`{NAME}` on PATH is {first}, and not this installation ({own})"
            remedy = f"Remove one of the two, or name this one in full where a client starts it: {own}."
            problems.append(Problem("warning", text, remedy))
    return combined_finding(problems, "complete", details)


def _of_dependencies(context: CheckContext, details: dict[str, Detail]) -> Iterator[Problem]:
    try:
        requirements = importlib.metadata.requires(NAME) or []
    except importlib.metadata.PackageNotFoundError:
        details["package"] = "not installed as a distribution; run from its source"
        return
    names = [match[0] for text in requirements if ";" not in text and (match := _REQUIREMENT.match(text))]
    missing = [name for name in names if not _is_installed(name)]
    details["packages"] = str(len(names) - len(missing))
    if missing:
        remedy = f"Install {NAME} again with all that it depends on."
        yield Problem("fail", f"packages are missing: {', '.join(missing)}", remedy)
    if _store(context) in KEYRING and not _is_installed("keyring"):
        text = "credentials are to be kept in the keyring, and the extra `keyring` is not installed"
        yield Problem("warning", text, f"Install it: `pip install '{NAME}[keyring]'`.")
    if _sends_telemetry(context) and not _is_installed("opentelemetry-sdk"):
        text = "`[otel]` asks for telemetry, and the extra `otel` is not installed"
        yield Problem("warning", text, f"Install it: `pip install '{NAME}[otel]'`.")


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _sends_telemetry(context: CheckContext) -> bool:
    try:
        return otel_settings(context.home, context.config_overrides).is_on
    except ConfigError:  # `config.load` tells
        return False


def _store(context: CheckContext) -> str:
    try:
        settings = server_settings(context.home, context.config_overrides)
    except ConfigError:  # `config.load` tells
        return ""
    return settings.credentials.cli_auth_credentials_store


def _engine(context: CheckContext) -> str:
    try:
        chosen = server_settings(context.home, context.config_overrides).table.engine
    except ConfigError:  # `config.load` tells
        chosen = None
    return chosen or ("fork" if FORK_IS_SAFE else "spawn")


def _pip(context: CheckContext) -> tuple[str, ...] | None:
    """Return the command of pip: that of this installation, or else the first on `PATH`; `None` where there is none."""
    if importlib.util.find_spec("pip") is not None:
        return sys.executable, "-I", "-m", "pip"
    found = (context.machine.which(name, context.search_path) for name in ("pip", "pip3"))
    return next(((path,) for path in found if path is not None), None)


def _ask_index(context: CheckContext) -> tuple[str, str]:
    """Return what pip says of the versions that its index has, and why it says nothing."""
    pip, seconds = _pip(context), context.patience.index
    if pip is None:
        return "", "there is no pip, neither in this installation nor on PATH"
    command = (*pip, "--no-input", "--disable-pip-version-check", "index", "versions", NAME)
    process = subprocess.Popen(
        command,
        cwd="/",
        env={**without_secrets(context.environment), "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
        errors="replace",
    )
    try:
        said, complaint = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        return "", f"no answer within {seconds:g} s"
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    if process.returncode == 0:
        return said, ""
    errors = [line.removeprefix("ERROR: ") for line in complaint.splitlines() if line.startswith("ERROR")]
    lines = errors or complaint.strip().splitlines()
    return "", lines[-1] if lines else f"pip ended with {process.returncode}"

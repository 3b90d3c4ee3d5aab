"""`greenroom exec`: checks what the command line asks for, and has it run."""

import argparse
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from greenroom.config.overrides import parse_assignment
from greenroom.config.paths import resolve_path
from greenroom.protocol.errors import GreenroomError
from greenroom.protocol.items import JsonObject
from greenroom.protocol.jsonrpc import encode
from greenroom.protocol.telemetry.trace_context import read_trace_context
from greenroom.runtime.originator import ORIGINATOR
from greenroom.supervisor.cli.exec.arguments import ExecCommandLine, parse_exec_words
from greenroom.supervisor.cli.exec.prompt import read_prompt
from greenroom.supervisor.command_words import EXEC
from greenroom.supervisor.frontend.exec.request import ExecRequest
from greenroom.supervisor.options import ServerOptions
from greenroom.supervisor.startup import exec as startup
from greenroom.supervisor.startup.attach import mode_in_file
from greenroom.supervisor.startup.prelaunch import Prelaunch, as_text
from greenroom.supervisor.startup.start import server_options

if TYPE_CHECKING:
    from greenroom.protocol.ids import ConversationId

TITLE: Final = 200
"""Characters of a title."""
_FORM: Final = {"greenroom.event_form": "current"}
"""The form of events that has items, whatever the configuration says."""


class ExecError(GreenroomError):
    """The run cannot begin."""


def run(words: Sequence[str], early_config: Sequence[str], prelaunch: Prelaunch | None) -> int:
    """Run what the words after `exec` ask for, and return the exit status. `early_config` stood before `exec`.

    Raises `SystemExit` where the words are invalid, and `GreenroomError`.
    """
    arguments = parse_exec_words(words)
    prepared = prelaunch or Prelaunch.prepare().for_command((EXEC,))
    mode = _attach_mode(arguments, prepared)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the loop handles it: the processes end with this one
    try:
        cwd = _directory(arguments, prepared.environment)
        options = _options(arguments, early_config, prepared)
        schema = None if arguments.output_schema is None else _schema(arguments.output_schema)
        prompt = as_text(read_prompt(arguments.prompt, appends=not arguments.resumes))
        resumed = _resumed(arguments, options, cwd) if arguments.resumes else None
        last_message = None if arguments.last_message is None else _open(arguments.last_message)
        title = " ".join(prompt[: TITLE * 2].split())[:TITLE] or None
        overrides, items = encode(_overrides(arguments, options, cwd)), encode(_items(arguments, prompt))
        trace = read_trace_context(*map(prepared.environment.get, ("TRACEPARENT", "TRACESTATE")))
        request = ExecRequest(overrides, items, title, resumed, schema, arguments.ephemeral, trace)
        told = startup.Presentation(arguments.as_lines, _is_colored(arguments), prompt, last_message)
        if mode != "off":
            originator = prepared.environment.get(ORIGINATOR)
            handed = _for_host(request, options)
            status = startup.hand_over(prepared.home, mode, handed, told, originator)
            if status is not None:
                prepared.abort()
                return status
    except BaseException:
        prepared.abort()
        raise
    return startup.run_exec(options, prepared, request, told)


def _attach_mode(arguments: ExecCommandLine, prelaunch: Prelaunch) -> str:
    """Return whether to join a host. Raises `ExecError` where one is required that could not do what is asked for."""
    mode = arguments.attach or mode_in_file(prelaunch.home)
    reasons = {
        "--engine": arguments.engine is not None,
        "--log-level": arguments.log_level is not None,
        "--ephemeral": arguments.ephemeral,
        "CODEX_API_KEY": bool(prelaunch.environment.get("CODEX_API_KEY", "").strip()),
    }
    own = [name for name, is_given in reasons.items() if is_given]
    if mode == "require" and own:
        raise ExecError(f"{', '.join(own)} cannot be given to a host that runs already")
    return "off" if own else mode


def _for_host(request: ExecRequest, options: ServerOptions) -> ExecRequest:
    """Return the request with the settings of the command line, which a host has not been started with."""
    overrides = msgspec.json.decode(request.overrides, type=dict[str, object])
    assignments = map(parse_assignment, options.config_overrides)
    given = {".".join(assignment.path): assignment.value for assignment in assignments}
    return request._replace(overrides=encode({**overrides, "config": {**given, **_FORM}}))


def _directory(arguments: ExecCommandLine, environment: Mapping[str, str]) -> str:
    """Return the directory to work in, which is to be in a Git repository. Raises `ExecError`."""
    cwd = resolve_path(os.getcwd(), arguments.cwd or "", environment)
    if not os.path.isdir(cwd):
        raise ExecError(f"the directory {cwd} does not exist")
    if not (arguments.without_git or arguments.bypass or _is_in_repository(cwd)):
        raise ExecError("Not inside a trusted directory and --skip-git-repo-check was not specified.")
    return cwd


def _is_in_repository(directory: str) -> bool:
    while not os.path.lexists(os.path.join(directory, ".git")):
        above = os.path.dirname(directory)
        if above == directory:
            return False
        directory = above
    return True


def _options(arguments: ExecCommandLine, early_config: Sequence[str], prelaunch: Prelaunch) -> ServerOptions:
    config = [*early_config, *arguments.config]
    for override in config:
        parse_assignment(override)
    level = arguments.log_level or ("error" if not prelaunch.environment.get("GREENROOM_LOG") else None)
    given = argparse.Namespace(
        oss=arguments.oss, config=config, engine=arguments.engine, log_level=level, log_format=None
    )
    options = server_options(given, prelaunch.environment, prelaunch.home)
    return msgspec.structs.replace(options, idle_workers=1, environment_key_first=True)


def _overrides(arguments: ExecCommandLine, options: ServerOptions, cwd: str) -> JsonObject:
    """Return `greenroom.config.settings.ConversationOverrides`.

    Nothing is asked, unless the command line says that it would have to be: then it is refused.
    """
    named = {parse_assignment(override).path for override in options.config_overrides}
    policy = None if ("approval_policy",) in named and not arguments.bypass else "never"
    values = {
        "model": arguments.model,
        "profile": arguments.profile,
        "cwd": cwd,
        "approval_policy": policy,
        "sandbox_mode": "danger-full-access" if arguments.bypass else arguments.sandbox,
        "config": _FORM,
        "writable_roots": [os.path.join(cwd, directory) for directory in arguments.directories] or None,
        "worktree": arguments.worktree or None,
        "source": "exec",
        "thread_source": arguments.thread_source,
        "reconfigured": True,
    }
    return {name: value for name, value in values.items() if value is not None}


def _resumed(arguments: ExecCommandLine, options: ServerOptions, cwd: str) -> "ConversationId":
    from greenroom.supervisor.cli.exec.saved import last_session, named_session

    if arguments.session is None:
        return last_session(options.codex_home, None if arguments.everywhere else cwd)
    return named_session(options.codex_home, arguments.session)


def _schema(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            schema = file.read()
    except OSError as error:
        raise ExecError(f"Failed to read output schema file {path}: {error.strerror}") from None
    try:
        msgspec.json.decode(schema, type=dict[str, object])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ExecError(f"Output schema file {path} is not valid JSON: {error}") from None
    return schema


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise ExecError(f"Failed to open last message file {path}: {error.strerror}") from None


def _items(arguments: ExecCommandLine, prompt: str) -> list[JsonObject]:
    for path in arguments.images:
        if not os.access(path, os.R_OK):
            sys.stderr.write(f"Warning: the image {path} cannot be read; the model is told so\n")
    images: list[JsonObject] = [{"type": "local_image", "path": os.path.abspath(path)} for path in arguments.images]
    return [*images, {"type": "text", "text": prompt}]


def _is_colored(arguments: ExecCommandLine) -> bool:
    if arguments.color == "auto":
        return sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    return arguments.color == "always"

"""The SDKs for `codex exec`, each as a process of its own, which plays a scene and reports on it.

The program gets a scene as its only argument and executes it; the last line that it prints is the report. Scene and
report are JSON objects.
"""

import json
import sys
from typing import Any, Final

from tests.conformance.foreign import CLIENTS, Program, check_node
from tests.conformance.packages import Packages
from tests.support.server import SCRIPT
from tests.support.stage import Stage

_TYPESCRIPT: Final = CLIENTS / "codex-sdk-ts"
NODE: Final = Packages(
    name="codex-sdk-ts",
    lock=_TYPESCRIPT / "package-lock.json",
    command=(  # without the optional packages, which are the program of the reference for each platform
        *("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--omit=optional", "--loglevel=error"),
        *("--fetch-retries=0", "--fetch-timeout=15000"),
    ),
    files=(_TYPESCRIPT / "package.json", _TYPESCRIPT / "package-lock.json"),
    programs=(_TYPESCRIPT / "scenes.mjs",),
)
_PIP: Final = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries=0")
PYTHON: Final = Packages(
    name=f"codex-exec-sdk-{sys.version_info[0]}.{sys.version_info[1]}",
    lock=CLIENTS / "codex-exec-sdk.txt",
    command=(
        *(*_PIP, "--timeout=10", "--no-deps", "--require-hashes", "--target=packages"),
        *("--requirement", str(CLIENTS / "codex-exec-sdk.txt")),
    ),
)


def typescript() -> Program:
    """Return the program over the TypeScript SDK. Raises `UnavailableError`."""
    check_node()
    return Program(("node", "scenes.mjs"), NODE.installed(), {})


def python() -> Program:
    """Return the program over the Python SDK. Raises `UnavailableError`."""
    place = PYTHON.installed()
    program = (sys.executable, str(CLIENTS / "codex_exec_sdk.py"))
    return Program(program, place, {"PYTHONPATH": str(place / "packages")})


def play(program: Program, stage: Stage, scene: str, *prompts: str, **more: object) -> dict[str, Any]:
    """Let an SDK play a scene with runs on this stage, and return its report."""
    given = {
        "scene": scene,
        "program": str(SCRIPT),
        "environment": stage.environment(),
        "cwd": stage.cwd,
        "prompts": prompts,
        **more,
    }
    ended = program.run(json.dumps(given))
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    report: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return report

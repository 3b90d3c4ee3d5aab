"""The SDKs for `codex exec`, each as a process of its own, which plays a scene and reports on it.

The program gets a scene as its only argument and executes it; the last line that it prints is the report. Scene and
report are JSON objects.
"""

import json
import sys
from typing import Any, Final

from tests.conformance.foreign import CLIENTS, Program, check_node, node_packages, python_packages
from tests.support.stage import Stage

NODE: Final = node_packages("codex-sdk-ts", CLIENTS / "codex-sdk-ts")
PYTHON: Final = python_packages("codex-exec-sdk", "codex-exec-sdk.txt")


def typescript(program: str = "scenes.mjs") -> Program:
    """Return a program over the TypeScript SDK. Raises `UnavailableError`."""
    check_node()
    return Program(("node", program), NODE.installed(), {})


def matrix() -> Program:
    """Return the one that plays the situations of `tests.conformance.matrix`. Raises `UnavailableError`."""
    return typescript("matrix.mjs")


def python() -> Program:
    """Return the program over the Python SDK. Raises `UnavailableError`."""
    place = PYTHON.installed()
    program = (sys.executable, str(CLIENTS / "codex_exec_sdk.py"))
    return Program(program, place, {"PYTHONPATH": str(place / "packages")})


def play(program: Program, stage: Stage, scene: str, *prompts: str, **more: object) -> dict[str, Any]:
    """Let an SDK play a scene with runs on this stage, and return its report."""
    given = {
        "scene": scene,
        "program": stage.program,
        "environment": stage.environment(),
        "cwd": stage.cwd,
        "prompts": prompts,
        **more,
    }
    ended = program.run(json.dumps(given))
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    report: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return report

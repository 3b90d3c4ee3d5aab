"""The official Python SDK as a process of its own, which plays a scene and reports on it.

`clients/codex_sdk.py` gets a scene as its only argument and executes it; the last line that it prints is the report.
Scene and report are JSON objects.
"""

import json
from typing import Any

from tests.conformance.foreign import Imports, codex_sdk
from tests.support.stage import Stage


def play(imports: Imports, stage: Stage, scene: str, *prompts: str, **more: object) -> dict[str, Any]:
    """Let the SDK play a scene with a server of this stage, and return its report. Raises `UnavailableError`."""
    given = {
        "scene": scene,
        "program": stage.program,
        "environment": stage.environment(),
        "cwd": stage.cwd,
        "prompts": prompts,
        **more,
    }
    ended = imports.of(codex_sdk("codex_sdk.py")).run(json.dumps(given))
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    report: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return report

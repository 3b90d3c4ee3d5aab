"""The official Python SDK as a process of its own, which plays a scene and reports on it.

`clients/codex_sdk.py` gets a scene as its only argument and executes it; the last line that it prints is the report.
Scene and report are JSON objects.
"""

import json
import sys
from typing import Any, Final

from tests.conformance.foreign import CLIENTS, Program
from tests.conformance.packages import Packages
from tests.support.server import SCRIPT
from tests.support.stage import Stage

_PIP: Final = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries=0")
PACKAGES: Final = Packages(
    name=f"codex-sdk-{sys.version_info[0]}.{sys.version_info[1]}",
    lock=CLIENTS / "codex-sdk.txt",
    command=(
        *(*_PIP, "--timeout=10", "--no-deps", "--require-hashes", "--target=packages"),
        *("--requirement", str(CLIENTS / "codex-sdk.txt")),
    ),
)


def play(stage: Stage, scene: str, *prompts: str, **more: object) -> dict[str, Any]:
    """Let the SDK play a scene with a server of this stage, and return its report. Raises `UnavailableError`."""
    place = PACKAGES.installed()
    client = Program((sys.executable, str(CLIENTS / "codex_sdk.py")), place, {"PYTHONPATH": str(place / "packages")})
    given = {
        "scene": scene,
        "program": str(SCRIPT),
        "environment": stage.environment(),
        "cwd": stage.cwd,
        "prompts": prompts,
        **more,
    }
    ended = client.run(json.dumps(given))
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    report: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return report

"""Scenes played by the Python SDK for `codex exec` (PyPI, `openai-codex-sdk`), unchanged.

`tests.conformance.exec.sdk` says what it is given as its argument and what it prints.
"""

import asyncio
import json
import sys
from typing import Any

from openai_codex_sdk import Codex

Scene = dict[str, Any]


def codex_of(scene: Scene) -> Codex:
    return Codex({"codexPathOverride": scene["program"], "env": scene["environment"]})


def options(scene: Scene) -> dict[str, Any]:
    return {"workingDirectory": scene["cwd"], "skipGitRepoCheck": True}


async def run(scene: Scene) -> dict[str, Any]:
    """Run two turns."""
    thread = codex_of(scene).start_thread(options(scene))
    first = await thread.run(scene["prompts"][0])
    second = await thread.run(scene["prompts"][1])
    return {
        "thread": thread.id,
        "kinds": [item.type for item in first.items],
        "responses": [first.final_response, second.final_response],
    }


async def images(scene: Scene) -> dict[str, Any]:
    """Run two turns with images; the second names them before the conversation."""
    given = [{"type": "text", "text": scene["prompts"][0]}]
    given += [{"type": "local_image", "path": path} for path in scene["images"]]
    thread = codex_of(scene).start_thread(options(scene))
    turns = [await thread.run(given), await thread.run(given)]
    return {"responses": [turn.final_response for turn in turns]}


if __name__ == "__main__":
    played: Scene = json.loads(sys.argv[1])
    scenes = {"run": run, "images": images}
    print(json.dumps(asyncio.run(scenes[played["scene"]](played))))

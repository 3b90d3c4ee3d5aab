"""Where the walk takes place: a Codex home that knows only the scripted model, and a directory to work in."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from supervisor.demo.response_stream import MODEL

_CONFIG: Final = """\
model = "{model}"
model_provider = "scripted"
sandbox_mode = "danger-full-access"
approval_policy = "never"

[model_providers.scripted]
name = "A script on this machine"
base_url = "{base_url}"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
"""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the walk takes place; all of it is removed afterwards."""

    home: str
    workspace: str

    @classmethod
    def create(cls, root: str, base_url: str) -> "Places":
        """Make both directories below `root`, with a configuration that knows only the scripted model."""
        places = cls(os.path.join(root, "home"), os.path.join(root, "workspace"))
        os.mkdir(places.home)
        os.mkdir(places.workspace)
        with open(os.path.join(places.home, "config.toml"), "x", encoding="utf-8") as config:
            config.write(_CONFIG.format(model=MODEL, base_url=base_url))
        return places

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """Return the server's environment: ours without anything that could lead it to an account or a real home."""
        kept = {name: value for name, value in inherited.items() if not name.startswith(("CODEX_", "OPENAI_"))}
        return {**kept, "CODEX_HOME": self.home}

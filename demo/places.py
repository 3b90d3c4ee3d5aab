"""The demo's surroundings: a Codex home that knows only the scripted model, and a working directory."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from greenroom.demo.response_stream import MODEL
from greenroom.demo.scripts import OUTSIDE
from greenroom.workers.sandbox.rules.features import probe

_CONFIG: Final = """\
model = "{model}"
model_provider = "scripted"
sandbox_mode = "{sandbox}"
approval_policy = "never"

[sandbox_workspace_write]
exclude_slash_tmp = true
exclude_tmpdir_env_var = true

[model_providers.scripted]
name = "A script on this machine"
base_url = "{base_url}"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
"""


@dataclass(frozen=True, slots=True)
class DemoPlaces:
    """The directories of the demo, removed afterwards."""

    home: str
    workspace: str
    missing: tuple[str, ...]
    """What this system lacks for a sandbox. If anything, commands run without one, and the demo says so."""

    @classmethod
    def create(cls, root: str, base_url: str) -> "DemoPlaces":
        """Create both directories below `root`, with a configuration that knows only the scripted model."""
        places = cls(os.path.join(root, "home"), os.path.join(root, "workspace"), probe().missing())
        os.mkdir(places.home)
        os.mkdir(places.workspace)
        with open(os.path.join(places.home, "config.toml"), "x", encoding="utf-8") as config:
            config.write(_CONFIG.format(model=MODEL, base_url=base_url, sandbox=places.sandbox))
        return places

    @property
    def sandbox(self) -> str:
        """The `sandbox_mode`."""
        return "danger-full-access" if self.missing else "workspace-write"

    @property
    def outside(self) -> str:
        """A file that a confined command cannot write."""
        return os.path.join(os.path.dirname(self.workspace), OUTSIDE)

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """Return the server's environment: this one's without anything that leads to an account or a real home."""
        kept = {name: value for name, value in inherited.items() if not name.startswith(("CODEX_", "OPENAI_"))}
        return {**kept, "CODEX_HOME": self.home}

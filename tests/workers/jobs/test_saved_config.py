"""The saved configuration is told as the file has it."""

from pathlib import Path

import msgspec
import pytest

from greenroom.workers.job_context import JobError, Setting
from greenroom.workers.jobs.saved_config import run
from tests.support.loop import on_loop

FILE = """\
approval_policy = "on-request"
sandbox_mode = "workspace-write"
model = "gpt-5"
model_reasoning_effort = "high"
model_reasoning_summary = "detailed"
model_verbosity = "medium"
profile = "work"

[sandbox_workspace_write]
writable_roots = ["/data"]
network_access = true

[tools]
web_search = true
view_image = false

[profiles.work]
model = "gpt-5"
model_provider = "openai"
approval_policy = "never"
"""


async def told(home: Path) -> object:
    return msgspec.json.decode(await run(b"{}", Setting(str(home), "")))


@on_loop
async def test_everything_is_told_under_the_names_of_clients(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(FILE)
    assert await told(tmp_path) == {
        "config": {
            "approvalPolicy": "on-request",
            "sandboxMode": "workspace-write",
            "sandboxSettings": {
                "writableRoots": ["/data"],
                "networkAccess": True,
                "excludeTmpdirEnvVar": False,
                "excludeSlashTmp": False,
            },
            "model": "gpt-5",
            "modelReasoningEffort": "high",
            "modelReasoningSummary": "detailed",
            "modelVerbosity": "medium",
            "tools": {"webSearch": True, "viewImage": False},
            "profile": "work",
            "profiles": {
                "work": {
                    "model": "gpt-5",
                    "modelProvider": "openai",
                    "approvalPolicy": "never",
                    "modelReasoningEffort": None,
                    "modelReasoningSummary": None,
                    "modelVerbosity": None,
                    "chatgptBaseUrl": None,
                }
            },
        }
    }


@on_loop
async def test_the_early_form_has_fewer_members(tmp_path: Path) -> None:
    """And none for profiles where there are none."""
    (tmp_path / "config.toml").write_text(FILE)
    early = b'{"form":"early"}'
    profile = {"model": "gpt-5", "approvalPolicy": "never", "modelReasoningEffort": None}
    assert msgspec.json.decode(await run(early, Setting(str(tmp_path), ""))) == {
        "approvalPolicy": "on-request",
        "sandboxMode": "workspace-write",
        "modelReasoningEffort": "high",
        "profile": "work",
        "profiles": {"work": profile},
    }
    (tmp_path / "config.toml").write_text("")
    assert await run(early, Setting(str(tmp_path), "")) == b"{}"


@on_loop
async def test_without_a_file_there_is_nothing_but_no_profiles(tmp_path: Path) -> None:
    assert await told(tmp_path) == {"config": {"profiles": {}}}


@on_loop
async def test_a_file_that_cannot_be_read_and_one_that_does_not_fit_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("model = ")
    with pytest.raises(JobError, match=r"^failed to load config\.toml: "):
        await told(tmp_path)
    (tmp_path / "config.toml").write_text("model = 7")
    with pytest.raises(JobError, match=r"^failed to parse config\.toml: "):
        await told(tmp_path)

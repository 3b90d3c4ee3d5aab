"""The model is shown images of the workspace, and nothing that is no image or holds a login."""

import base64
import os
from pathlib import Path

import pytest

from greenroom.config.reader import SECRET
from tests.workers.model.test_image import PNG
from tests.workers.tools.conftest import Conversations

SHOWN = [{"type": "input_image", "image_url": f"data:image/png;base64,{base64.b64encode(PNG).decode()}"}]


@pytest.mark.parametrize("path", ["shot.png", "./sub/../shot.png", "{cwd}/shot.png", "link"])
def test_an_image_is_shown_and_told(begin: Conversations, tmp_path: Path, path: str) -> None:
    (tmp_path / "shot.png").write_bytes(PNG)
    (tmp_path / "link").symlink_to("shot.png")
    conversation = begin(tmp_path)
    told = conversation.call("view_image", {"path": path.format(cwd=tmp_path), "detail": "high"})
    assert (told.output, told.success) == (SHOWN, True)
    name = "link" if path == "link" else "shot.png"
    assert conversation.events == [
        {"type": "view_image_tool_call", "call_id": "call_1", "path": str(tmp_path / name)},
    ]


def test_what_cannot_be_shown_is_told(begin: Conversations, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    os.mkfifo(tmp_path / "pipe")
    conversation = begin(tmp_path)
    told = {
        path: conversation.call("view_image", {"path": path}).output for path in ("text.png", "pipe", ".", "no", "a\0b")
    }
    assert told == {
        "text.png": "unable to process image: invalid or unsupported image data",
        "pipe": f"image path `{tmp_path}/pipe` is not a file",
        ".": f"image path `{tmp_path}` is not a file",
        "no": f"unable to locate image at `{tmp_path}/no`: No such file or directory",
        "a\0b": f"unable to locate image at `{tmp_path}/a\0b`: embedded null byte",
    }
    assert conversation.events == []


def test_a_login_is_not_shown_under_any_name(begin: Conversations, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "auth.json").write_bytes(PNG)
    (tmp_path / "link.png").symlink_to(home / "auth.json")
    conversation = begin(tmp_path, home=home)
    for path in ("home/auth.json", "link.png"):
        told = conversation.call("view_image", {"path": path}).output
        assert told == f"unable to locate image at `{tmp_path}/{path}`: {SECRET}"

"""The Containerfile fits the wheel and the command line; where a container can be built here, one is."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from greenroom.supervisor.cli.command_line import command_table

FOLDER = Path(__file__).parents[2] / "packaging" / "container"
TEXT = (FOLDER / "Containerfile").read_text("utf-8")
PAGE = (FOLDER.parents[1] / "docs" / "containers.md").read_text("utf-8")
LINES = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", TEXT, flags=re.MULTILINE)).strip().splitlines()
COMMANDS = {command.words[0] for command in command_table().commands}
BASE = re.findall(r"^FROM (\S+)", TEXT, re.MULTILINE)[0]


def instructions(name: str) -> list[str]:
    return [line.partition(" ")[2] for line in LINES if line.startswith(f"{name} ")]


def test_what_it_starts_are_commands() -> None:
    assert instructions("ENTRYPOINT") == ['["greenroom"]']
    assert instructions("CMD") == ['["serve"]']
    (check,) = instructions("HEALTHCHECK")
    assert re.findall(r'"(\w+)"', check) == ["greenroom", "status"]
    assert {"serve", "status"} <= COMMANDS


def test_it_runs_as_a_user_and_asks_for_no_right() -> None:
    assert instructions("USER") == ["agent"]
    assert LINES.index("USER agent") < next(place for place, line in enumerate(LINES) if line.startswith("ENTRYPOINT"))
    assert "--privileged" not in "\n".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL))
    assert re.search(r"(?i)curl|wget|ADD http", TEXT) is None


def test_it_is_pinned_to_one_release_of_python_that_the_program_supports() -> None:
    bases = {line.split()[0] for line in instructions("FROM")}
    assert bases == {BASE}
    assert re.fullmatch(r"python:3\.1[1-9]-slim-\w+", BASE)


@pytest.mark.parametrize("snippet", re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL))
def test_every_snippet_of_the_page_is_shell_and_names_commands_that_are_there(snippet: str) -> None:
    checked = subprocess.run(("bash", "-n"), input=snippet, capture_output=True, text=True, check=False)
    assert checked.stderr == ""
    for line in re.sub(r"\\\n", " ", snippet).splitlines():
        words = shlex.split(line)
        if words[:2] == ["podman", "run"]:
            assert words[words.index("greenroom") + 1] in COMMANDS


@pytest.mark.timeout(300)
def test_an_image_runs_it(tmp_path: Path, wheels: Path) -> None:
    """Only with a base image that is here already: nothing is downloaded."""
    engine = next((path for name in ("podman", "docker") if (path := shutil.which(name))), None)
    if engine is None:
        pytest.skip("there is neither podman nor docker")
    there = subprocess.run((engine, "image", "inspect", BASE), capture_output=True, text=True, timeout=60, check=False)
    if there.returncode:
        pytest.skip(f"{engine} has no image {BASE}: {there.stderr.strip()}")
    for wheel in wheels.glob("*.whl"):
        shutil.copy(wheel, tmp_path)
    shutil.copy(FOLDER / "Containerfile", tmp_path)
    tag = "greenroom-test"
    subprocess.run((engine, "build", "--tag", tag, str(tmp_path)), check=True, timeout=250)
    told = subprocess.run((engine, "run", "--rm", tag, "demo"), capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode == 0, told.stdout + told.stderr

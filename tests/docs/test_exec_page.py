"""The snippets of the page about runs work as they stand there, and its table has every option."""

import os
import re
import subprocess
from typing import Final

import pytest

from greenroom.demo.script import Text, rule
from greenroom.supervisor.cli.exec.arguments import UNSUPPORTED, parse_exec_words
from tests.conformance.exec import sdk
from tests.conformance.packages import UnavailableError
from tests.docs.test_generated import DOCS
from tests.support.stage import Stage

PAGE: Final = (DOCS / "exec.md").read_text("utf-8")
SNIPPETS: Final = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
SHELL: Final = [text for language, text in SNIPPETS if language == "sh"]
ANSWER: Final = '{"title": "Greenroom"}'


@pytest.fixture
def repository(stage: Stage) -> dict[str, str]:
    """Play a model for a repository, and return the environment with `greenroom` in its path."""
    stage.play(rule("", [Text(ANSWER)]))
    environment = stage.environment(PATH=f"{stage.programs}{os.pathsep}{os.environ['PATH']}")
    me = ("-c", "user.name=A", "-c", "user.email=a@example.com")
    for words in (("init", "-q"), (*me, "commit", "-q", "--allow-empty", "-m", "Begin")):
        subprocess.run(("git", *words), cwd=stage.cwd, env=environment, check=True, timeout=20)
    return environment


@pytest.mark.server
@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", range(len(SHELL)))
def test_a_snippet_for_the_shell_works(stage: Stage, repository: dict[str, str], number: int) -> None:
    words = ("bash", "-e", "-o", "pipefail", "-c", SHELL[number])
    done = subprocess.run(
        words,
        cwd=stage.cwd,
        env=repository,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    written = "".join(path.read_text() for path in stage.workspace.glob("*.json*"))
    assert ANSWER in done.stdout or "Greenroom" in written


@pytest.mark.server
@pytest.mark.timeout(120)
def test_the_snippet_for_the_sdk_works(stage: Stage, repository: dict[str, str]) -> None:
    (snippet,) = (text for language, text in SNIPPETS if language == "js")
    try:
        place = sdk.typescript().cwd
    except UnavailableError as error:
        pytest.skip(str(error))
    program = stage.workspace / "snippet.mjs"
    program.write_text(snippet)
    (stage.workspace / "node_modules").symlink_to(place / "node_modules")
    words = ("node", program.name)
    done = subprocess.run(words, cwd=stage.cwd, env=repository, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, ANSWER), done.stderr


def test_every_option_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_exec_words(("--help",))
    options = set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", capsys.readouterr().out)) - {"-h", "--help"}
    explained = set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", PAGE))
    assert options <= explained
    assert set(UNSUPPORTED) <= explained

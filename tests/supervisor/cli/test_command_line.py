"""What the command line says of commands, and of words that it does not know."""

import pytest

from greenroom.supervisor.cli.command_line import command_table, run

COMMANDS = [command.words for command in command_table().walk() if command.words]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_help_of_every_command_says_what_it_does(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run([*words, "--help"])
    assert ended.value.code == 0
    (usage, about, *_) = capsys.readouterr().out.split("\n\n")
    assert usage.startswith(f"usage: greenroom {' '.join(words)}")
    assert about[0].isupper()
    assert about.endswith("."), "a sentence stands between the usage and the options"


@pytest.mark.parametrize(
    ("words", "usage"),
    [
        (["mcp-server", "--frob"], "greenroom mcp-server"),
        (["serve", "--frob"], "greenroom serve"),
        (["app-server", "--listen", "stdio://", "--frob"], "greenroom app-server"),
        (["node", "ticket", "build-1", "--frob"], "greenroom node ticket"),
        (["--frob", "status"], "greenroom"),
    ],
)
def test_an_unknown_option_is_named_with_the_usage_of_its_command(
    words: list[str], usage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(words)
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert told.startswith(f"usage: {usage} [-h]")
    assert f"{usage}: error: unrecognized arguments: --frob\n" in told

"""Which commands are a patch and nothing else."""

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.workers.patch.interception import PatchCall, PatchRefused, recognise, recognise_script

BASH = shutil.which("bash")
BODY = "*** Begin Patch\n*** Add File: a\n+it's $HOME `x` \\n\n*** End Patch"


@pytest.mark.parametrize("name", ["apply_patch", "applypatch"])
def test_the_patch_may_be_an_argument(name: str) -> None:
    assert recognise([name, BODY]) == PatchCall(BODY)


@pytest.mark.parametrize("shell", [["bash", "-lc"], ["bash", "-c"], ["/bin/bash", "-lc"], ["sh", "-c"], ["zsh", "-lc"]])
@pytest.mark.parametrize("name", ["apply_patch", "applypatch"])
def test_the_patch_may_be_a_here_document(shell: list[str], name: str) -> None:
    assert recognise([*shell, f"{name} <<'EOF'\n{BODY}\nEOF\n"]) == PatchCall(BODY)


@pytest.mark.parametrize(
    "script",
    [
        f"apply_patch <<'EOF'\n{BODY}\nEOF",
        f"\n  apply_patch <<'EOF'\n{BODY}\nEOF\n\n",
        f'apply_patch <<"EOF"\n{BODY}\nEOF',
        f"apply_patch <<EOF\n{BODY}\nEOF",
        f"apply_patch <<\\EOF\n{BODY}\nEOF",
        f"apply_patch<<PATCH\n{BODY}\nPATCH",
        f"apply_patch << 'END OF IT'  \n{BODY}\nEND OF IT",
        f"apply_patch <<-'EOF'\n\t{BODY}\n\t\tEOF",
        f"apply_patch <<'EOF'\n{BODY}\n\n",
    ],
)
def test_a_here_document_may_be_written_in_every_way_a_shell_knows(script: str) -> None:
    assert recognise_script(script) == PatchCall(BODY)


@pytest.mark.parametrize(
    ("before", "directory"),
    [
        ("cd sub && ", "sub"),
        ("cd  /a/b.c/d-e_f  &&  ", "/a/b.c/d-e_f"),
        ("cd 'a b' && ", "a b"),
        ('cd "a b"/c && ', "a b/c"),
        ("cd sub &&\n", "sub"),
    ],
)
def test_a_directory_may_be_entered_first(before: str, directory: str) -> None:
    call = recognise_script(f"{before}apply_patch <<'EOF'\n{BODY}\nEOF")
    assert call == PatchCall(BODY, directory)


def test_the_directory_is_seen_from_that_of_the_call() -> None:
    assert PatchCall("", None).cwd("/w") == "/w"
    assert PatchCall("", "sub/../x").cwd("/w") == "/w/x"
    assert PatchCall("", "/y").cwd("/w") == "/y"


def test_a_script_may_give_the_patch_as_a_quoted_argument() -> None:
    body = "*** Begin Patch\n*** Delete File: a\n*** End Patch"
    assert recognise_script(f"apply_patch '{body}'\n") == PatchCall(body)
    assert recognise_script(f'cd b && apply_patch "{body}"') == PatchCall(body, "b")


HEREDOC = f"apply_patch <<'EOF'\n{BODY}\nEOF\n"


@pytest.mark.parametrize(
    "script",
    [
        f"{HEREDOC}make test",
        f"{HEREDOC}rm -r x\n",
        f"apply_patch <<'EOF' && make\n{BODY}\nEOF",
        f"apply_patch <<'EOF' | cat\n{BODY}\nEOF",
        f"apply_patch <<'EOF' > log\n{BODY}\nEOF",
        f"apply_patch <<'EOF'; make\n{BODY}\nEOF",
        f"apply_patch <<A <<B\n{BODY}\nA\n{BODY}\nB",
        f"apply_patch -v <<'EOF'\n{BODY}\nEOF",
        "apply_patch <<< x",
        "apply_patch < patch.txt",
        "apply_patch",
        'apply_patch "$PATCH"',
        "apply_patch $(cat p)",
        "apply_patch `cat p`",
        f"cd $DIR && {HEREDOC}",
        f"cd ~/x && {HEREDOC}",
        f"cd - && {HEREDOC}",
        f"cd a; {HEREDOC}",
        f"cd a\n{HEREDOC}",
        f"cd *x && {HEREDOC}",
        "apply_patch & x",
    ],
)
def test_a_command_that_does_more_than_patch_is_refused(script: str) -> None:
    refused = recognise(["bash", "-lc", script])
    assert isinstance(refused, PatchRefused)
    assert refused.reason.startswith("apply_patch was not run: ")


@pytest.mark.parametrize("argv", [["apply_patch"], ["apply_patch", BODY, "x"], ["applypatch", "-h", "x"]])
def test_a_wrong_number_of_arguments_is_refused(argv: list[str]) -> None:
    assert isinstance(recognise(argv), PatchRefused)


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["ls"],
        ["bash", "-lc"],
        ["bash", "-x", HEREDOC],
        ["python", "-c", HEREDOC],
        ["bash", "-lc", HEREDOC, "more"],
        ["bash", "-lc", HEREDOC.replace("apply_patch", "apply_patch_all")],
        ["bash", "-lc", HEREDOC.replace("apply_patch", "apply_patch.sh")],
        ["bash", "-lc", "echo apply_patch"],
        ["bash", "-lc", "cd a && ls"],
        ["bash", "-lc", ""],
        ["/usr/bin/apply_patch", BODY],
    ],
)
def test_other_commands_are_none_of_its_business(argv: list[str]) -> None:
    assert recognise(argv) is None


WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@given(st.lists(WORDS))
def test_any_command_can_be_looked_at(argv: list[str]) -> None:
    recognise(argv)


BEFORE = st.sampled_from(["", "cd sub && ", "cd 'a b' && ", " \n", "cd sub; ", "cd $x && ", "cd sub &&\n"])
DELIMITERS = st.sampled_from(
    ["'EOF'", '"EOF"', "\\EOF", "-'EOF'", " 'EOF' ", "'E F'", "'EOF' ; ", "'EOF' #", "'EOF'\\"]
)
BODY_LINES = st.sampled_from(["+a", "", "EOF", "E F", "\tEOF", "EOF ", "EOF\\", "'", "$x", "`", "\\", "\t+b", "EOF\r"])
QUOTED = st.sampled_from(
    ["'a\nb'", '"a\nb"', "'a'\\''b'", '"a$x"', "a", "'a' b", "'a'#", "'a' #", '"a!b"', "'a'\"b\"c", "~"]
)
DOCUMENTS = st.builds(lambda opening, lines: f" <<{opening}\n" + "\n".join(lines), DELIMITERS, st.lists(BODY_LINES))


@pytest.mark.skipif(BASH is None, reason="needs bash")
@given(BEFORE, DOCUMENTS | QUOTED.map(" {}".format))
def test_what_is_recognised_is_what_a_shell_does(before: str, tail: str) -> None:
    """A real shell enters the same directory and calls the program once, with the same text."""
    script = f"{before}apply_patch{tail}"
    call = recognise_script(script)
    assert isinstance(call, PatchCall | PatchRefused) or "cd $x" in before
    if isinstance(call, PatchCall):
        assert _as_a_shell_does(script) == (call.directory, call.body)


def _as_a_shell_does(script: str) -> tuple[str | None, str]:
    """Run a script in which `cd` and the patch program report what they are given."""
    functions = (
        "cd() { printf 'cd:%s\\0' \"$@\"; }\n"
        "apply_patch() { text=$*; [ $# = 0 ] && IFS= read -r -d '' text; printf 'patch:%s\\0' \"$text\"; }\n"
        "command_not_found_handle() { printf 'other:%s\\0' \"$*\"; }\n"
    )
    done = subprocess.run([str(BASH), "--norc", "-c", functions + script], capture_output=True, check=False)
    reports = [report.decode().split(":", 1) for report in done.stdout.split(b"\0")[:-1]]
    directory = reports.pop(0)[1] if reports[0][0] == "cd" else None
    [[kind, body]] = reports
    assert kind == "patch"
    return directory, body.rstrip("\n")

"""Which commands are a patch and nothing else."""

import shlex
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


PLAIN = "*** Begin Patch\n*** Delete File: a\n*** End Patch"


@pytest.mark.parametrize(
    "script",
    [
        f"cat <<E | apply_patch\n{PLAIN}\nE",
        f"cat <<'E' | apply_patch\n{PLAIN}\nE\n",
        f"cat - <<'E' | apply_patch -\n{PLAIN}\nE\n",
        f"cat <<-'E' |apply_patch\n\t{PLAIN}\n\tE\n",
        f"apply_patch - <<'E'\n{PLAIN}\nE",
        f"echo '{PLAIN}' | apply_patch",
        f'echo "{PLAIN}" | applypatch\n',
        f"echo -n '{PLAIN}' | apply_patch",
        f"echo -e '{PLAIN}' | apply_patch".replace("Patch\n", "Patch\\n"),
        f"printf '%s' '{PLAIN}' | apply_patch",
        f"printf '%s\\n' '{PLAIN}' | apply_patch",
        "printf '%s\\n' '*** Begin Patch' '*** Delete File: a' '*** End Patch' | apply_patch",
        "printf '*** Begin Patch\\n*** Delete File: a\\n*** End Patch\\n' | apply_patch",
        f'apply_patch <<< "{PLAIN}"',
        "apply_patch $'*** Begin Patch\\n*** Delete File: a\\n*** End Patch'",
        f"apply_patch \"$(cat <<'E'\n{PLAIN}\nE\n)\"",
    ],
)
@pytest.mark.parametrize(("before", "directory"), [("", None), ("cd sub && ", "sub")])
def test_a_text_that_is_in_the_script_may_come_in_every_way(script: str, before: str, directory: str | None) -> None:
    assert recognise(["bash", "-lc", before + script]) == PatchCall(PLAIN, directory)


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
        'apply_patch <<< "$PATCH"',
        "apply_patch < patch.txt",
        "cat patch.txt | apply_patch",
        "cat <<'EOF' > p && apply_patch < p\nx\nEOF",
        f"cat <<'EOF' | apply_patch && make\n{BODY}\nEOF",
        f"cat <<'EOF' | apply_patch\n{BODY}\nEOF\nmake",
        f"cat <<'EOF' | tee x | apply_patch\n{BODY}\nEOF",
        'echo "$PATCH" | apply_patch',
        "echo $(cat p) | apply_patch",
        "printf '%d' 5 | apply_patch",
        "printf 'a\\x41' | apply_patch",
        "printf -v x y | apply_patch",
        "cd '-' && apply_patch x",
        f"set -e\n{HEREDOC}",
        f"make && {HEREDOC}",
        f"(cd a && {HEREDOC})",
        f"if true; then {HEREDOC} fi",
        f"x=1; {HEREDOC}",
        "sudo apply_patch x",
        "git diff | xargs apply_patch",
        "echo `apply_patch x`",
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
        ["bash", "-lc", "grep -r apply_patch . | head"],
        ["bash", "-lc", "echo 'use it: ; apply_patch x' && ls"],
        ["bash", "-lc", "ls # ; apply_patch x"],
        ["bash", "-lc", f"cat > README <<'END'\n{HEREDOC}END\nls"],
        ["bash", "-lc", f"cat > README <<-END\n{HEREDOC}\tEND"],
        ["bash", "-lc", "cat <<'EOF' | patch -p1\nx\nEOF"],
        ["bash", "-lc", "cd a && ls"],
        ["bash", "-lc", ""],
        ["/usr/bin/apply_patch", BODY],
    ],
)
def test_other_commands_are_none_of_its_business(argv: list[str]) -> None:
    assert recognise(argv) is None


WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


PARTS = st.sampled_from(["bash", "sh", "-lc", "-c", "apply_patch", "applypatch", HEREDOC, f"cd a && {HEREDOC}", BODY])


@given(st.lists(WORDS | PARTS, max_size=4))
def test_any_command_is_a_call_that_can_be_written_anew_or_refused_or_none_of_its_business(argv: list[str]) -> None:
    call = recognise(argv)
    if isinstance(call, PatchCall):
        entered = f"cd {shlex.quote(call.directory)} && " if call.directory else ""
        assert recognise(["bash", "-lc", f"{entered}apply_patch {shlex.quote(call.body)}"]) == call
    elif call is None:
        assert argv[:1] not in (["apply_patch"], ["applypatch"])
    else:
        assert any(name in word for word in argv for name in ("apply_patch", "applypatch"))


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


QUOTED_TOO = ["$'a\\nb'", "$'a\\x'", "'a\\nb'", "'%s'", "'%s\\n'", "'%%'", '"a b"', '"a\\"b"', "\\'", "-n", "-e", "*"]
PRINTED = st.lists(QUOTED | st.sampled_from(QUOTED_TOO), min_size=1, max_size=4)


@pytest.mark.skipif(BASH is None, reason="needs bash")
@given(BEFORE, st.sampled_from(["echo", "printf"]), PRINTED)
def test_what_is_recognised_in_a_pipe_is_what_a_shell_does(before: str, printer: str, arguments: list[str]) -> None:
    script = f"{before}{printer} {' '.join(arguments)} | apply_patch"
    call = recognise_script(script)
    if isinstance(call, PatchCall):
        assert _as_a_shell_does(script) == (call.directory, call.body)


@pytest.mark.skipif(BASH is None, reason="needs bash")
@given(st.sampled_from(["cat{} | apply_patch", "cat -{} | apply_patch -", "apply_patch -{}"]), DOCUMENTS)
def test_here_document_in_a_pipe_is_what_a_shell_makes_of_it(form: str, document: str) -> None:
    opening, _, lines = document.partition("\n")
    script = f"{form.format(opening)}\n{lines}"
    call = recognise_script(script)
    if isinstance(call, PatchCall):
        assert _as_a_shell_does(script.replace("apply_patch -", "apply_patch")) == (call.directory, call.body)


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

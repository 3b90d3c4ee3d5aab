"""What a confined command can do with files as before."""

import os

import pytest

from tests.workers.sandbox.cell import Cell, Mode

pytestmark = pytest.mark.processes


def test_without_the_sandbox_the_attempts_succeed(user: Cell) -> None:
    """Else the tests of what the sandbox holds would show nothing."""
    place = user.place
    tries = (
        f"open({place.auth!r}).read()",
        f"open({place.outside!r} + '/file', 'a')",
        f"open({place.cwd!r} + '/.git/new', 'w')",
        f"os.unlink({place.cwd!r} + '/.git/new')",
        f"os.chmod({place.outside!r} + '/file', 0o644)",
        f"socket.create_connection(('127.0.0.1', {user.tcp}))",
        f"socket.socket(socket.AF_UNIX).connect({user.socket!r})",
        f"socket.socket(socket.AF_UNIX).connect({chr(0) + user.abstract!r})",
        f"os.kill({user.pid}, 0)",
        f"__import__('resource').prlimit({user.pid}, 7)",
    )
    output = user.attempt(*tries, mode="free").output
    assert output.count("done") == len(tries), output
    assert place.secret in output


@pytest.mark.parametrize("mode", ["workspace-write", "online"])
def test_everyday_changes_in_the_workspace_work(with_view: Cell, mode: Mode) -> None:
    place = with_view.place
    script = """
    set -e
    echo one > new; echo two >> new; cat new
    mkdir -p directory/deep; mv new directory/deep/renamed; ln directory/deep/renamed hard; ln -s hard soft; cat soft
    chmod 700 directory; touch -d 2020-01-01 hard; truncate -s 1 hard; mkfifo pipe
    sed -i s/inside/changed/ file; cat file; sed -i s/changed/inside/ file
    rm -r directory hard soft pipe
    temporary=$(mktemp); echo kept > $temporary; cat $temporary; rm $temporary
    """
    result = with_view.shell(script, mode)
    assert (result.returncode, result.output) == (0, "one\ntwo\none\ntwo\nchanged\nkept\n")
    assert sorted(os.listdir(place.cwd)) == [".git", "file"]


def test_without_namespaces_existing_directories_stay_writable(narrow: Cell) -> None:
    place = narrow.place
    os.mkdir(f"{place.cwd}/src")
    os.chown(f"{place.cwd}/src", place.user, place.user)
    result = narrow.shell(
        "echo a > src/new && mv src/new src/renamed && cat src/renamed && rm src/renamed && echo b >> file"
    )
    assert (result.returncode, result.output) == (0, "a\n")
    refused = narrow.shell("echo a > new")
    assert refused.returncode == 1
    assert "no mount namespaces" in "".join(refused.limits)
    os.rmdir(f"{place.cwd}/src")


def test_programs_run_as_usual(inside: Cell) -> None:
    result = inside.shell(
        "git status --short | cat && ls / > /dev/null && head -c 4 /dev/urandom | wc -c && echo x > /dev/null"
        " && cat /etc/passwd | head -1 | wc -l && stat -c %F /dev/zero"
    )
    assert result.returncode == 0, result.output
    assert result.output.endswith("4\n1\ncharacter special file\n")


def test_repository_can_be_read_and_a_new_one_made(with_view: Cell) -> None:
    result = with_view.shell(
        "git rev-parse --show-toplevel && git init -q other && git -C other status --short && rm -rf other"
    )
    assert (result.returncode, result.output) == (0, f"{with_view.place.cwd}\n")


def test_locks_of_multiprocessing_work(with_view: Cell) -> None:
    script = """
import multiprocessing
def work(lock, queue):
    with lock:
        queue.put("worked")
if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=work, args=(context.Lock(), queue))
    process.start()
    print(queue.get(timeout=10))
    process.join()
"""
    assert with_view.python(script).output == "worked\n"


def test_shared_memory_of_others_is_not_seen(with_view: Cell) -> None:
    name = f"/dev/shm/greenroom-test-{os.getpid()}"
    with_view.place.write(name, "theirs")
    try:
        assert with_view.attempt(f"open({name!r})").refused == ["ENOENT"]
    finally:
        os.unlink(name)

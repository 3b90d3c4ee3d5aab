"""A command in a login shell finds what the profile makes of its environment, without the profile being read again."""

import asyncio
from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from greenroom.workers.exec.command import CommandSpec
from greenroom.workers.exec.login_shells import LoginShells
from greenroom.workers.exec.process import run_to_end
from greenroom.workers.exec.process_groups import ProcessGroups
from greenroom.workers.exec.starter import GroupStarter, OnEnd, Running

PROFILE = """
echo "noise of the profile"
echo read >> "$HOME/reads"
export ADDED="two words" PATH="$HOME/bin:$PATH"
unset DROPPED
greet() { echo "hello $1"; }
"""


class Bench:
    """A home with a profile, and commands that run in it."""

    def __init__(
        self, home: Path, may_see: Callable[[str], bool] = lambda _: True, fixed: Collection[str] = ()
    ) -> None:
        self.home = home
        self.logins = LoginShells(may_see, fixed)
        self.starter = GroupStarter(ProcessGroups())
        self.profile(PROFILE)

    def profile(self, text: str) -> None:
        (self.home / ".profile").write_text(text)

    def command(
        self, script: str, *, shell: str = "bash", flag: str = "-lc", timeout: float = 20.0, **more: str
    ) -> CommandSpec:
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.home), "DROPPED": "x", **more}
        return CommandSpec((shell, flag, script), str(self.home), environment, timeout)

    async def spared(self, command: CommandSpec) -> CommandSpec:
        return await self.logins.spare(command, self.starter)

    def run(self, command: CommandSpec) -> tuple[CommandSpec, str]:
        """Return what was run in place of a command, and what it printed."""

        async def scene() -> tuple[CommandSpec, str]:
            spared = await self.spared(command)
            finished = await run_to_end(spared, lambda *_: None, self.starter)
            return spared, finished.aggregated.head.decode()

        return asyncio.run(scene())

    @property
    def reads(self) -> int:
        """How often the profile was read."""
        path = self.home / "reads"
        return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_the_profile_is_read_once_for_all_commands(bench: Bench) -> None:
    for number in range(3):
        spared, printed = bench.run(bench.command(f'echo "$ADDED ${{DROPPED-gone}} {number}"; greet you; echo $PATH'))
        assert spared.argv[1] == "-c"
        assert printed.startswith(f"two words gone {number}\nhello you\n{bench.home}/bin:")
    assert bench.reads == 1


def test_another_environment_or_place_is_looked_at_anew(bench: Bench) -> None:
    (bench.home / "sub").mkdir()
    bench.run(bench.command("true"))
    bench.run(bench.command("true", PATH="/bin"))
    assert bench.reads == 2


def test_a_changed_profile_is_read_again(bench: Bench) -> None:
    bench.run(bench.command("true"))
    bench.profile(PROFILE + "export ADDED=other\n")
    _, printed = bench.run(bench.command("echo $ADDED"))
    assert (printed, bench.reads) == ("other\n", 2)


def test_what_a_policy_keeps_from_commands_no_profile_brings_back(tmp_path: Path) -> None:
    bench = Bench(tmp_path, may_see=lambda name: "TOKEN" not in name, fixed=["ADDED"])
    bench.profile(PROFILE + "export MY_TOKEN=hush\n")
    _, printed = bench.run(bench.command('echo "${MY_TOKEN-none} $ADDED"', ADDED="set"))
    assert printed == "none set\n"


@pytest.mark.parametrize(
    "more",
    ["umask 077", "cd /", "set -f", "shopt -s dotglob", "trap 'echo bye' EXIT", "export BASH_ENV=/dev/null", "exit 3"],
)
def test_a_profile_that_does_more_is_left_to_login_shells(bench: Bench, more: str) -> None:
    bench.profile(f"{PROFILE}{more}\n")
    command = bench.command("echo ran")
    assert asyncio.run(bench.spared(command)) is command
    reads = bench.reads
    assert asyncio.run(bench.spared(command)) is command
    assert bench.reads == reads, "and it is not looked at again"


def test_a_profile_that_takes_too_long_is_left_to_login_shells(bench: Bench) -> None:
    bench.logins = LoginShells(lambda _: True, timeout_s=0.3)
    bench.profile("exec sleep 600")
    command = bench.command("true")
    assert asyncio.run(bench.spared(command)) is command


@pytest.mark.parametrize(
    ("shell", "flag"), [("bash", "-c"), ("sh", "-lc"), ("zsh", "-lc"), ("python3", "-lc"), ("no-such-shell", "-lc")]
)
def test_other_commands_are_left_as_they_are(bench: Bench, shell: str, flag: str) -> None:
    command = bench.command("true", shell=shell, flag=flag)
    assert asyncio.run(bench.spared(command)) is command
    assert bench.reads == 0


def test_where_nothing_can_be_started_the_command_is_left_to_fail_itself(bench: Bench) -> None:
    class Broken:
        async def start(
            self, command: CommandSpec, stdout: int, stderr: int, on_end: OnEnd, stdin: int | None = None
        ) -> Running:
            raise OSError(24, "Too many open files")

    command = bench.command("true")
    assert asyncio.run(bench.logins.spare(command, Broken())) is command


def test_a_stopped_turn_ends_the_look(bench: Bench) -> None:
    bench.profile('echo > "$HOME/started"; exec sleep 600')

    async def scene() -> None:
        task = asyncio.create_task(bench.spared(bench.command("true")))
        async with asyncio.timeout(20):
            while not (bench.home / "started").exists():
                await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scene())

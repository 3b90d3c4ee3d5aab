"""Other processes of the user cannot inspect a hardened process."""

import subprocess
import sys

import pytest

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="prctl(2) is Linux's")
_PR_GET_DUMPABLE = 3
_PR_GET_CHILD_SUBREAPER = 37


def said_by(statement: str) -> str:
    """Return what a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", statement], capture_output=True, text=True, check=True, timeout=20)
    return done.stdout.strip()


@LINUX
def test_memory_and_environment_are_closed_and_a_fork_keeps_them_so() -> None:
    statement = (
        "import ctypes, os; from greenroom.runtime.process import hardening; hardening.make_undumpable()\n"
        "libc = ctypes.CDLL(None)\n"
        f"if os.fork() == 0: print(libc.prctl({_PR_GET_DUMPABLE}), flush=True); os._exit(0)\n"
        f"os.wait(); print(libc.prctl({_PR_GET_DUMPABLE}))"
    )
    assert said_by(statement).split() == ["0", "0"]


@LINUX
def test_a_name_is_shown_as_far_as_the_kernel_keeps_it() -> None:
    statement = (
        "from greenroom.runtime.process import hardening; hardening.set_name('gr-a-name-beyond-the-limit'); "
        "print(open('/proc/self/comm').read())"
    )
    assert said_by(statement) == "gr-a-name-beyond-the-limit"[:15]


@LINUX
def test_orphans_are_reparented_to_the_process_that_adopts_them() -> None:
    statement = (
        "import os, subprocess; from greenroom.runtime.process import hardening; hardening.adopt_orphans(); "
        "subprocess.run(['sh', '-c', 'sleep 600 & echo $!'], stdout=open('/dev/null')); "
        "import psutil; [child] = psutil.Process().children()\n"
        "while child.name() == 'sh': pass  # until it has become its program\n"
        "print(child.name()); child.kill()"
    )
    assert said_by(statement) == "sleep"

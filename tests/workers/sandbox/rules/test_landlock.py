"""Promises about Landlock on kernels of all ages."""

import struct
import sys
from dataclasses import replace

import pytest

from greenroom.protocol.errors import SandboxUnavailableError
from greenroom.workers.sandbox.rules import landlock
from greenroom.workers.sandbox.rules.features import KernelFeatures, probe
from greenroom.workers.sandbox.rules.landlock import FileRight, Handled, NetRight, Scope

GOOD = KernelFeatures(landlock_abi=7, seccomp=True, architecture="x86_64", namespaces_refused=None)


@pytest.mark.parametrize(
    ("abi", "files", "net", "scope", "length"),
    [
        (1, (1 << 13) - 1, 0, 0, 8),
        (2, (1 << 14) - 1, 0, 0, 8),
        (3, (1 << 15) - 1, 0, 0, 8),
        (4, (1 << 15) - 1, 3, 0, 16),
        (5, (1 << 16) - 1, 3, 0, 16),
        (6, (1 << 16) - 1, 3, 3, 24),
        (7, (1 << 16) - 1, 3, 3, 24),
        (99, (1 << 16) - 1, 3, 3, 24),
    ],
)
def test_each_version_is_asked_for_all_that_it_offers(abi: int, files: int, net: int, scope: int, length: int) -> None:
    handled = Handled.by(abi)
    assert handled == Handled(FileRight(files), NetRight(net), Scope(scope))
    assert len(handled.attributes()) == length
    assert struct.unpack_from("=Q", handled.attributes()) == (files,)


def test_no_right_to_make_devices_is_ever_given() -> None:
    assert not landlock.WRITE & (FileRight.MAKE_CHAR | FileRight.MAKE_BLOCK)


@pytest.mark.skipif(sys.platform != "linux", reason="Landlock is part of Linux")
def test_this_kernel_is_probed() -> None:
    assert probe().landlock_abi == landlock.abi()
    assert probe() is probe()
    assert probe().missing() == ()


@pytest.mark.parametrize(
    ("features", "named"),
    [
        (replace(GOOD, landlock_abi=0), r"Landlock 3 \(Linux 6.2; this kernel offers none\)"),
        (replace(GOOD, landlock_abi=2), r"Landlock 3 \(Linux 6.2; this kernel offers 2\)"),
        (replace(GOOD, seccomp=False), "seccomp filters"),
        (replace(GOOD, architecture="riscv64"), "a table of system calls for riscv64"),
    ],
)
def test_what_is_missing_is_an_error_that_names_it(features: KernelFeatures, named: str) -> None:
    with pytest.raises(SandboxUnavailableError, match=named):
        features.require()


def test_what_is_weaker_is_told() -> None:
    assert GOOD.limits(writes=True) == ()
    GOOD.require()
    (limit,) = replace(GOOD, landlock_abi=5).limits(writes=False)
    assert "signals" in limit
    without = replace(GOOD, namespaces_refused="unshare: Operation not permitted")
    assert without.limits(writes=False) == ()
    assert "unshare: Operation not permitted" in without.limits(writes=True)[0]

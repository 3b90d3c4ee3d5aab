"""A process reads of itself what others may not read of it."""

import mmap
import os
import subprocess
import sys

import msgspec

from greenroom.protocol.footprint import Footprint
from greenroom.runtime.process.footprint import measure
from tests.support.server import give_up_tracing

MEGABYTE = 1 << 20


def test_private_memory_and_descriptors_are_counted() -> None:
    before = measure()
    ballast = mmap.mmap(-1, 16 * MEGABYTE)  # the allocator might give what this process has held before
    ballast.write(b"x" * len(ballast))
    descriptors = os.pipe()
    after = measure()
    for descriptor in descriptors:
        os.close(descriptor)
    assert before.uss is not None
    assert before.pss is not None
    assert before.descriptors is not None
    assert after.uss is not None
    assert after.uss - before.uss >= len(ballast) - MEGABYTE
    assert after.pss is not None
    assert after.pss >= after.uss
    assert after.descriptors == before.descriptors + 2


def test_a_process_that_nobody_may_look_into_can_still_measure_itself() -> None:
    program = """
import msgspec
from greenroom.runtime.process import footprint, hardening
hardening.make_undumpable()
print(msgspec.json.encode(footprint.measure()).decode())
"""
    told = subprocess.run(
        [sys.executable, "-I", "-c", program],
        stdout=subprocess.PIPE,
        preexec_fn=give_up_tracing,
        timeout=30,
        check=True,
    )
    held = msgspec.json.decode(told.stdout, type=Footprint)
    assert held.pss is not None
    assert held.uss is not None
    assert held.descriptors is not None
    assert held.pss >= held.uss > MEGABYTE
    assert held.descriptors >= 3

"""Machines of their own as far as the network goes: namespaces on one bridge, each with one link that can be cut."""

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

IP: Final = shutil.which("ip")


class Networks:
    """A bridge of this machine, and namespaces that hang on it."""

    def __init__(self, count: int) -> None:
        """Raises `OSError` where the system does not let us; what was made is removed then."""
        self._mark = f"{random.randrange(16**4):04x}"
        self._subnet = f"10.213.{random.randrange(256)}"
        self.address = f"{self._subnet}.1"
        """The address of this machine on the bridge."""
        self._count = count
        try:
            self._make()
        except OSError:
            self.remove()
            raise

    def prefix(self, number: int) -> tuple[str, ...]:
        """Return what starts a program in a namespace, of those from 0."""
        return (str(IP), "netns", "exec", self._name(number))

    def address_of(self, number: int) -> str:
        """Return the address of a namespace on the bridge."""
        return f"{self._subnet}.{10 + number}"

    def cut(self, number: int) -> None:
        """Let nothing pass between a namespace and all others."""
        _ip("link", "set", self._near(number), "down")

    def heal(self, number: int) -> None:
        """Let everything pass again."""
        _ip("link", "set", self._near(number), "up")

    def remove(self) -> None:
        """Remove the namespaces, with their links, and the bridge."""
        for number in range(self._count):
            _ip("netns", "del", self._name(number), check=False)
            _ip("link", "del", self._near(number), check=False)
        _ip("link", "del", self._bridge, check=False)

    @property
    def _bridge(self) -> str:
        return f"grbr{self._mark}"

    def _name(self, number: int) -> str:
        return f"greenroom-{self._mark}-{number}"

    def _near(self, number: int) -> str:
        return f"grv{self._mark}-{number}"

    def _make(self) -> None:
        _ip("link", "add", self._bridge, "type", "bridge")
        _ip("addr", "add", f"{self.address}/24", "dev", self._bridge)
        _ip("link", "set", self._bridge, "up")
        for number in range(self._count):
            name, near, far = self._name(number), self._near(number), f"grf{self._mark}-{number}"
            _ip("netns", "add", name)
            _ip("link", "add", near, "type", "veth", "peer", "name", far)
            _ip("link", "set", far, "netns", name)
            _ip("link", "set", near, "master", self._bridge, "up")
            _ip("-n", name, "addr", "add", f"{self.address_of(number)}/24", "dev", far)
            _ip("-n", name, "link", "set", far, "up")
            _ip("-n", name, "link", "set", "lo", "up")


@contextmanager
def networks(count: int) -> Iterator[Networks]:
    """Make namespaces, and remove them at the end. Raises `OSError`, whose text is the reason to skip a test."""
    made = Networks(count)
    try:
        yield made
    finally:
        made.remove()


def _ip(*words: str, check: bool = True) -> None:
    if IP is None or os.geteuid() != 0:
        if not check:
            return
        raise OSError("namespaces of networks need root and ip(8)")
    done = subprocess.run((IP, *words), capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")

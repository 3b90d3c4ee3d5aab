"""The ZeroMQ endpoints of an instance: its runtime directory, and the keys that guard its sockets.

The keys live in memory only and are handed to each child with its spec (docs/security.md).
"""

import os
from typing import Literal

import zmq

from greenroom.protocol.internal.process import KeyPair
from greenroom.runtime.files import directory
from greenroom.runtime.zmq.zap import ZapAuthenticator


class InstanceEndpoints:
    """Made at the start of an instance, and closed at its end."""

    def __init__(self) -> None:
        self.directory = directory.create(os.environ)
        """The directory of the sockets, which only the user can enter."""
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.authenticator = ZapAuthenticator(self.context)
        self.keys = key_pair()
        """The supervisor's keys."""
        self.broker_keys = key_pair()
        """The keys of the auth broker, the same for every process that takes its role."""

    def address(self, name: Literal["mailbox", "broker", "changes"]) -> str:
        """Return the address of a socket."""
        return f"ipc://{self.directory}/{name}"

    @property
    def events_path(self) -> str:
        """The Unix socket that takes the streams of events."""
        return f"{self.directory}/events"

    def close(self) -> None:
        """Close every socket and remove the directory."""
        self.authenticator.close()
        self.context.destroy(linger=0)
        directory.remove_directory(self.directory)


def key_pair() -> KeyPair:
    """Return a new pair of CURVE keys."""
    public, secret = zmq.curve_keypair()
    return KeyPair(public=public.decode(), secret=secret.decode())

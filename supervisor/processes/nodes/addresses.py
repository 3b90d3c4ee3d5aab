"""The addresses at which a host is reached by nodes and their workers: consecutive ports of one interface."""

from typing import Literal, TypeAlias

from greenroom.config.tables.nodes import split_address

Service: TypeAlias = Literal["nodes", "mailbox", "broker", "changes"]

_OFFSETS: dict[Service, int] = {"nodes": 0, "mailbox": 1, "broker": 2, "changes": 3}


def address_of(listen: str, service: Service) -> str:
    """Return the address of a service, where the host listens, or is reached, at `listen` (`tcp://HOST:PORT`)."""
    host, port = split_address(listen)
    return f"tcp://{host}:{port + _OFFSETS[service]}"

"""Promises about sockets: what a confined command cannot connect to. Each is shown by trying."""

import pytest

from tests.workers.sandbox.cell import Cell, Mode

pytestmark = pytest.mark.processes

OFFLINE: list[Mode] = ["read-only", "workspace-write"]


@pytest.mark.parametrize("mode", OFFLINE)
def test_there_is_no_network(inside: Cell, mode: Mode) -> None:
    tries = (
        "socket.create_connection(('127.0.0.1', {tcp}))",
        "socket.socket(socket.AF_INET6)",
        "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {udp}))",
        "socket.socket().bind(('127.0.0.1', 0))",
        "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
        "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)",
        "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
        "socket.socket(socket.AF_VSOCK)",
        "socket.socket(socket.AF_ALG)",
    )
    result = inside.attempt(*(action.format(tcp=inside.tcp, udp=inside.udp) for action in tries), mode=mode)
    assert result.refused == ["EPERM"] * len(tries)


@pytest.mark.parametrize("mode", OFFLINE)
def test_no_program_reaches_the_network(inside: Cell, mode: Mode) -> None:
    result = inside.shell(f"exec 3<>/dev/tcp/127.0.0.1/{inside.tcp} && echo reached", mode)
    assert "reached" not in result.output
    result = inside.shell(f"echo x > /dev/udp/127.0.0.1/{inside.udp} && echo reached", mode)
    assert "reached" not in result.output


@pytest.mark.parametrize("mode", [*OFFLINE, "online"])
def test_our_sockets_cannot_be_reached(inside: Cell, mode: Mode) -> None:
    tries = (
        "socket.socket(socket.AF_UNIX).connect({path!r})",
        "socket.socket(socket.AF_UNIX).connect({abstract!r})",
        "socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect({path!r})",
        "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)",
        "socket.socketpair(type=socket.SOCK_DGRAM)",
        "socket.socketpair(type=socket.SOCK_RAW)",
        "socket.socketpair()[0].connect({path!r})",
        "socket.socketpair(type=socket.SOCK_SEQPACKET)[0].connect({path!r})",
        "socket.socket(type=socket.SOCK_STREAM, family=40)",
    )
    names = {"path": inside.socket, "abstract": "\0" + inside.abstract}
    refused = inside.attempt(*(action.format(**names) for action in tries), mode=mode).refused
    assert len(refused) == len(tries)
    assert set(refused) <= {"EPERM", "EISCONN", "EPROTOTYPE"}


@pytest.mark.parametrize("mode", [*OFFLINE, "online"])
def test_our_runtime_directory_cannot_be_changed(inside: Cell, mode: Mode) -> None:
    path, directory = inside.socket, inside.place.runtime
    tries = (
        f"os.unlink({path!r})",
        f"os.rename({path!r}, 'x')",
        f"open({directory!r} + '/new', 'w')",
        f"open({path!r})",
    )
    assert inside.attempt(*tries, mode=mode).refused


def test_with_network_tcp_and_udp_work(inside: Cell) -> None:
    result = inside.python(
        f"""
with socket.create_connection(("127.0.0.1", {inside.tcp})):
    print("connected")
print(socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", {inside.udp})))
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
server.accept()[0].send(b"hello")
print(client.recv(9))
print(socket.getaddrinfo("localhost", 80)[0][4][1])
""",
        "online",
    )
    assert result.output.splitlines() == ["connected", "1", "b'hello'", "80"]


@pytest.mark.parametrize("mode", [*OFFLINE, "online"])
def test_socket_pairs_and_event_loops_work(inside: Cell, mode: Mode) -> None:
    result = inside.python(
        """
import asyncio
one, other = socket.socketpair()
one.send(b"a"); one.sendall(b"b"); one.sendmsg([b"c"]); os.write(one.fileno(), b"d")
print(other.recv(1), other.recvfrom(1)[0], other.recvmsg(1)[0], os.read(other.fileno(), 1))
async def main():
    return await asyncio.to_thread(lambda: "looped")
print(asyncio.run(main()))
""",
        mode,
    )
    assert result.output.splitlines() == ["b'a' b'b' b'c' b'd'", "looped"]


@pytest.mark.parametrize("mode", [*OFFLINE, "online"])
def test_other_doors_of_the_kernel_are_shut(inside: Cell, mode: Mode) -> None:
    tries = (
        "raw(425, 8, bytes(200))",  # io_uring_setup
        "raw(321, 0, bytes(72), 72)",  # bpf
        "raw(323, 1)",  # userfaultfd
        "raw(298, bytes(128), 0, -1, -1, 0)",  # perf_event_open
        "raw(250, 0, -3, 0)",  # keyctl
        "raw(304, -100, bytes(8), 0)",  # open_by_handle_at
        "raw(272, 0x10000000)",  # unshare, users
        "raw(272, 0x00020000)",  # unshare, mounts
        "raw(56, 0x10000000 | 17, 0, 0, 0, 0)",  # clone, users
        "raw(308, os.open('/proc/self/ns/mnt', os.O_RDONLY), 0)",  # setns
        "raw(165, b'tmpfs', b'/mnt', b'tmpfs', 0, 0)",  # mount
        "raw(166, b'/', 2)",  # umount2
        "raw(161, b'/tmp')",  # chroot
        "raw(428, -100, b'/', 1)",  # open_tree
        "__import__('fcntl').ioctl(1, 0x5412, b'x')",  # TIOCSTI
    )
    if __import__("os").uname().machine != "x86_64":
        pytest.skip("the numbers are those of x86_64")
    assert set(inside.attempt(*tries, mode=mode).refused) == {"EPERM"}
    assert inside.attempt("raw(435, bytes(88), 88)", mode=mode).refused == ["ENOSYS"]  # clone3

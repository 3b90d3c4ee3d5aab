"""TCP's own watch over silent connections (tcp(7)), for sockets of ZeroMQ that other machines connect to."""

import zmq


def keep_alive(socket: "zmq.Socket[bytes]") -> None:
    """Let the kernel find out within a minute that the machine at the other end is gone, for addresses bound later."""
    socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
    socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 30)
    socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, 10)
    socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, 3)

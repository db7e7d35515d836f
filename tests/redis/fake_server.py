"""A server that answers whatever a test wants, for replies that no real one gives on demand."""

import contextlib
import socket
import threading
from collections.abc import Callable

HANDSHAKE = {b"CLIENT", b"SELECT", b"AUTH", b"HELLO"}


class FakeServer:
    """Answers the handshake with OK and every other command as told.

    Args:
        answer: From a command to the bytes of its reply; `None` to close the connection.
    """

    def __init__(self, answer: Callable[[list[bytes]], bytes | None]) -> None:
        self._answer = answer
        self.commands: list[list[bytes]] = []
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._spawn(self._accept)

    @property
    def url(self) -> str:
        """Where to reach it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def _spawn(self, work: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self._sockets.append(sock)
                self._spawn(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), sock, sock.makefile("rb") as stream:
            while head := stream.readline():
                command = []
                for _ in range(int(head[1:])):
                    size = int(stream.readline()[1:])
                    command.append(stream.read(size + 2)[:-2])
                if command[0].upper() in HANDSHAKE:
                    sock.sendall(b"+OK\r\n")
                    continue
                self.commands.append(command)
                reply = self._answer(command)
                if reply is None:
                    return
                sock.sendall(reply)

    def close(self) -> None:
        """End everything."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

"""A TCP proxy on 127.0.0.1 that injects what networks do: delay, stall, slices, cuts, resets."""

import contextlib
import socket
import struct
import threading
import time

LINGER_ZERO = struct.pack("ii", 1, 0)
"""Makes `close` send a reset instead of a proper end."""


class Proxy:
    """Forwards connections to one server, as well or as badly as it is told.

    Attributes:
        delay: Seconds by which every piece of the server's output is late.
        slice_bytes: How many bytes of the server's output are passed on at a time.
        cut_after: Close a connection once so many bytes of the server's output were passed on since
            `arm`; `None` for never.
        reset: Close by reset rather than properly.
        swallow: Pass nothing of the server's output on.
        garbage: What to pass on instead of the server's output.
        accepted: How many connections have been made so far.
        largest: The most bytes that a client has sent between two replies.
        trips: How many times somebody has asked after a reply, or for the first time.
    """

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self.delay = 0.0
        self.slice_bytes: int | None = None
        self.cut_after: int | None = None
        self.reset = False
        self.swallow = False
        self.garbage: bytes | None = None
        self.accepted = 0
        self.trips = 0
        self.largest = 0
        self._answered: set[socket.socket] = set()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._ended = False
        self._spawn(self._accept)

    @property
    def url(self) -> str:
        """Where to reach it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def _spawn(self, work: object, *args: object) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._ended:
            try:
                inner, _ = self._listener.accept()
            except OSError:
                return
            try:
                outer = socket.create_connection(self._target, 5)
                outer.settimeout(None)
            except OSError:
                self._end(inner)
                continue
            for one in (inner, outer):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.accepted += 1
                self._pairs.append((inner, outer))
                self._answered.add(inner)
            self._spawn(self._upstream, inner, outer)
            self._spawn(self._downstream, inner, outer)

    def _upstream(self, inner: socket.socket, outer: socket.socket) -> None:
        with contextlib.suppress(OSError):
            sent = 0
            while data := inner.recv(65_536):
                with self._lock:
                    answered = inner in self._answered
                    sent = len(data) if answered else sent + len(data)
                    self.largest = max(self.largest, sent)
                    self.trips += answered
                    self._answered.discard(inner)
                outer.sendall(data)
        self._end(outer)

    def _downstream(self, inner: socket.socket, outer: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := outer.recv(65_536):
                if self.delay:
                    time.sleep(self.delay)
                if self.swallow:
                    continue
                if not self._pass_on(self.garbage or data, inner):
                    break
        self._end(inner)
        self._end(outer)

    def _pass_on(self, data: bytes, inner: socket.socket) -> bool:
        with self._lock:
            self._answered.add(inner)
        step = self.slice_bytes or len(data)
        for start in range(0, len(data), step):
            piece = data[start : start + step]
            if self.cut_after is not None:
                piece = piece[: self.cut_after]
                self.cut_after -= len(piece)
            inner.sendall(piece)
            if self.cut_after == 0:
                self.cut_after = None
                return False
        return True

    def _end(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self.reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
                sock.shutdown(socket.SHUT_RD)  # wakes the thread that reads, sends nothing
            else:
                sock.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            sock.close()

    def cut(self) -> None:
        """End every connection there is; new ones are accepted."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for inner, outer in pairs:
            self._end(inner)
            self._end(outer)

    def close(self) -> None:
        """End everything."""
        self._ended = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(5)

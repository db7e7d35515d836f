"""Where a server listens."""

from typing import NamedTuple


class Node(NamedTuple):
    """The address of one server; hashed on every operation, hence a tuple.

    Attributes:
        host: Name or address; the path of the socket when `port` is 0.
        port: TCP port, 0 for a unix socket.
    """

    host: str
    port: int

    def __str__(self) -> str:
        if not self.port:
            return self.host
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

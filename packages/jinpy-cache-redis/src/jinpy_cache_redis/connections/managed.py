"""What a pool of connections, of either kind, can be told without waiting."""

from typing import Protocol


class ManagedPool(Protocol):
    """What a pool of either kind can be told without waiting."""

    def drop_idle(self) -> None:
        """Close what is idle, since the server may be another by now."""
        ...

    def close(self) -> None:
        """Close what is idle now and what is in use when it is given back."""
        ...

    def forsake(self) -> None:
        """Close every link, in use or not; nobody is left to use them."""
        ...

    def abandon(self) -> None:
        """Let go of every link in a forked child; the parent goes on using them."""
        ...

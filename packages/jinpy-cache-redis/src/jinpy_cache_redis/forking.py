"""After a fork, a child must not touch its parent's connections: their replies are the parent's."""

import os
import weakref
from typing import Protocol


class Forkable(Protocol):
    """What holds connections."""

    def after_fork_in_child(self) -> None:
        """Let go of the parent's connections and start afresh."""
        raise NotImplementedError


_holders: "weakref.WeakSet[Forkable]" = weakref.WeakSet()


def watch_forks(holder: Forkable) -> None:
    """Have a holder told in every child, as long as it lives."""
    _holders.add(holder)


def _in_child() -> None:
    for holder in list(_holders):
        holder.after_fork_in_child()


os.register_at_fork(after_in_child=_in_child)

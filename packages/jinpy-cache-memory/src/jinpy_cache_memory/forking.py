"""Forked children: their caches get locks of their own, whoever held the parent's."""

import os
from typing import Protocol
from weakref import WeakSet


class Recoverable(Protocol):
    """Something that a fork can catch in the middle of a change."""

    def recover_after_fork(self) -> None:
        """Become usable in the child."""


_alive: "WeakSet[Recoverable]" = WeakSet()


def recover_in_children(backend: Recoverable) -> None:
    """Have `recover_after_fork` called in every child that is forked while the backend lives."""
    _alive.add(backend)


def _recover() -> None:
    for backend in list(_alive):
        backend.recover_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_recover)

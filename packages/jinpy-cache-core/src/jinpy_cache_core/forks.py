"""Forked children: there nobody holds a lock, whatever the parent's threads held.

A lock of the core is entered by a `with` on a re-entrant lock of the standard library, which the
interpreter does in one step: a signal handler that raises finds it taken by a `with` or not at
all, and one that comes back to the cache, like a finaliser, does not wait for its own thread. So
what a lock guards is one step as well, or right again after it was left half-way.

One thing the compiler gets wrong, up to 3.13 at least: where a loop or comprehension ends with a
condition, the jump back to its beginning belongs to no `with` or `try` around it, and handlers run
at that very jump. So no such loop stands inside of one; it goes into a function of its own.
"""

import os
from typing import Protocol
from weakref import WeakSet


class Forkable(Protocol):
    """What has locks."""

    def _renew_locks(self) -> None:
        """Replace them in the child, by which nobody else runs."""


_owners: "WeakSet[Forkable]" = WeakSet()


def renew_in_children(owner: Forkable) -> None:
    """Have `_renew_locks` called in every child that is forked while the owner lives."""
    _owners.add(owner)


def _in_child() -> None:
    for owner in list(_owners):
        owner._renew_locks()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)

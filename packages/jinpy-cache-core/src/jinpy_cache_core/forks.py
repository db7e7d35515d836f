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
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

_methods: WeakKeyDictionary[Any, tuple[Callable[[Any], Any], ...]] = WeakKeyDictionary()


def call_in_children(method: Callable[[], Any]) -> None:
    """Have a bound method called in every child that is forked while its object lives.

    Nobody else runs in the child by then. Of one object, what was named first is called first.
    """
    bound: Any = method
    owner = bound.__self__
    _methods[owner] = (*_methods.get(owner, ()), bound.__func__)


def _in_child() -> None:
    for owner, methods in list(_methods.items()):
        for method in methods:
            method(owner)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)

"""A store that other programs use too, and a namespace that nobody chose."""

import logging
import os

_warned: set[tuple[int, str]] = set()


def note_unchosen_namespace(kind: str, namespace: str | None, where: str) -> None:
    """Ask once a process for a namespace, where the default one may be another program's too.

    Two programs with the same namespace in one store share their entries, and `clear()` of the one
    empties the other. That is what some want, so it is a line in the log and no error.

    Args:
        kind: The backend's type, which is the default namespace.
        namespace: The one in use.
        where: The store, without credentials.
    """
    place = (os.getpid(), kind)
    if namespace != kind or place in _warned:
        return
    _warned.add(place)
    logging.getLogger(f"jinpy_cache.{kind}").warning(
        "The cache in %s has the default namespace %r: any other program that left it out shares "
        "its entries, and clear() empties both. Name the program: namespace='shop'.",
        where,
        namespace,
    )

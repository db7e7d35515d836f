"""Lazy exports (PEP 562): a name's module is imported when the name is first used."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazily(module: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a module that exports names of others.

    Args:
        module: The name of the exporting module.
        homes: Where each exported name lives.

    Returns:
        A function that imports the home of a name, remembers the name's object and returns it.
    """

    def __getattr__(name: str) -> Any:  # noqa: N807 - what it becomes
        home = homes.get(name)
        if home is None:
            message = f"module {module!r} has no attribute {name!r}"
            raise AttributeError(message)
        found = getattr(import_module(home), name)
        setattr(sys.modules[module], name, found)
        return found

    return __getattr__

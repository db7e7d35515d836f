"""Which manager is meant where none is named: asked here by facades, told here by the manager.

A facade needs a manager and a manager hands out facades; so that neither imports the other, the
module of the manager says how to get the process-wide one when it is imported.
"""

from collections.abc import Callable
from typing import Protocol

from jinpy_cache_core.backend import BaseBackend


class Unbindable(Protocol):
    """A facade, as managers know it."""

    def _unbind(self) -> None:
        """Look the backend up again at the next use."""
        ...


class BackendOwner(Protocol):
    """A manager, as facades know it."""

    @property
    def generation(self) -> int:
        """How often it was configured; another number means that backends were replaced."""
        ...

    def backend(self, name: str | None = None) -> BaseBackend:
        """The backend of that name, by default the default one."""
        ...

    def _remember(self, facade: Unbindable) -> None:
        """Unbind this facade whenever the backends are replaced."""
        ...


_process_wide: list[Callable[[], BackendOwner]] = []


def process_wide(owner: Callable[[], BackendOwner]) -> None:
    """Say how to get the process-wide manager; the module of the manager does, once."""
    _process_wide[:] = [owner]


def current_manager() -> BackendOwner:
    """The process-wide manager."""
    [owner] = _process_wide
    return owner()

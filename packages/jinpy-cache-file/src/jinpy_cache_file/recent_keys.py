"""Which keys can be read without waiting for the disk: those that were touched a moment ago."""

from typing import Final

_GENERATION: Final = 8192
_SECONDS: Final = 2.0


class RecentKeys:
    """Remembers keys whose pages are in memory, in two generations; never more than 16,384.

    A key is warm for two to four seconds after it was read or written: that long the operating
    system keeps its pages unless it is desperate for memory. A clock that jumps makes all cold.
    """

    __slots__ = ("_old", "_since", "_young")

    def __init__(self) -> None:
        self._young: set[str] = set()
        self._old: set[str] = set()
        self._since = 0.0

    def has(self, key: str, now: float) -> bool:
        """Whether a key was touched a moment ago."""
        if not self._since <= now < self._since + _SECONDS:
            self._turn(now, keep=self._since <= now < self._since + 2 * _SECONDS)
        return key in self._young or key in self._old

    def add(self, key: str, now: float) -> None:
        """A key was just read or written."""
        if len(self._young) >= _GENERATION:
            self._turn(now, keep=True)
        self._young.add(key)

    def _turn(self, now: float, *, keep: bool) -> None:
        self._old = self._young if keep else set()
        self._young = set()
        self._since = now

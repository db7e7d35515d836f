"""The operations that have an answer without their server: for `on_error="miss"`.

Each asks once, as a miss will do, and not at all while the server is given up.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from jinpy_cache_core import CacheException
from jinpy_cache_redis.commands.operations import Commands
from jinpy_cache_redis.protocol.requests import Plan

T = TypeVar("T")


class GuardedCommands(Commands):
    """The same commands, of which those that can be gone without look at the breaker first.

    Args:
        check: Raises while the server is not to be asked.
        arguments: See `Commands`.
        settings: See `Commands`.
    """

    def __init__(self, check: Callable[[], None], *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._check = check

    def get(
        self,
        key: str,
        default: object,
        kind: type[Any] | None,
        *,
        once: bool = True,
        large: bool = False,
    ) -> Plan[Any]:
        """See `Commands`."""
        self._check()
        return super().get(key, default, kind, once=True, large=large)

    def get_many(
        self,
        keys: list[str],
        default: object,
        kind: type[Any] | None = None,
        *,
        once: bool = True,
    ) -> Plan[dict[str, Any]]:
        """See `Commands`."""
        self._check()
        return super().get_many(keys, default, kind, once=True)

    def set(self, key: str, value: object, seconds: float) -> Plan[None]:
        """See `Commands`."""
        return self._unless_given_up(super().set(key, value, seconds), seconds)

    def add(self, key: str, value: object, seconds: float) -> Plan[bool]:
        """See `Commands`."""
        return self._unless_given_up(super().add(key, value, seconds), seconds)

    def exists(self, key: str) -> Plan[bool]:
        """See `Commands`."""
        return self._unless_given_up(super().exists(key), 1.0)

    def ttl(self, key: str) -> Plan[float | None]:
        """See `Commands`."""
        return self._unless_given_up(super().ttl(key), 1.0)

    def touch(self, key: str, seconds: float) -> Plan[bool]:
        """See `Commands`."""
        return self._unless_given_up(super().touch(key, seconds), seconds)

    def set_many(self, payloads: dict[str, bytes], seconds: float) -> Plan[None]:
        """See `Commands`."""
        return self._unless_given_up(super().set_many(payloads, seconds), seconds)

    def _unless_given_up(self, plan: Plan[T], seconds: float) -> Plan[T]:
        if seconds:  # else it removes, and must not be gone without
            try:
                self._check()
            except CacheException:
                plan.close()
                raise
        return plan

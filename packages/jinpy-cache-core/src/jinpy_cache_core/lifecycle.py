"""What a `with` block closes: a backend, a `Cache`, a manager."""

from types import TracebackType
from typing import Self


class ClosedByWith:
    """Leaving `with` or `async with` closes it, whatever happened inside."""

    def close(self) -> None:
        """Release what is held; idempotent."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """Same as `close`, asynchronously."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

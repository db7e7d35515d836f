"""Run a page as its reader would: its Python blocks, from the first to the last, in one process.

`python -m site_check.program PAGE [REDIS_PORT]`. A block may await at its top level, as in a
notebook. What it prints must be what the page shows. What the page shows with a title is a file,
there before the first block runs, which may import it; the variables of a `.env` file are set.

The name `localhost:6379` leads to the server at `REDIS_PORT`, so that examples run as they are
printed without touching a server that happens to run there.
"""

import ast
import asyncio
import contextlib
import inspect
import io
import itertools
import os
import socket
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from site_check.blocks import OUTPUT, Block, blocks_of

REDIS_PORT = 6379


def main(page: str, redis_port: str = "") -> None:
    """Run every Python block of a page in the working directory."""
    blocks = blocks_of(Path(page))
    _write_files(blocks)
    if redis_port:
        _lead_to(int(redis_port))
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    with asyncio.Runner() as runner:
        for block, after in itertools.zip_longest(blocks, blocks[1:]):
            if block.language != "python" or block.title:
                continue
            printed = _run(block, module.__dict__, runner)
            expected = after.text if after is not None and after.title == OUTPUT else ""
            if printed != expected:
                message = f"{block} printed:\n{printed}\ninstead of:\n{expected}"
                raise AssertionError(message)
        runner.run(_close_what_is_open())


def _run(block: Block, names: dict[str, Any], runner: asyncio.Runner) -> str:
    """Run one block and return what it printed; tracebacks point into the page."""
    source = "\n" * (block.line - 1) + block.text
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(source, str(block.page), "exec", flags=flags, dont_inherit=True)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        if code.co_flags & inspect.CO_COROUTINE:
            runner.run(types.FunctionType(code, names)())
        else:
            exec(code, names)  # noqa: S102 - our own page
    return printed.getvalue()


async def _close_what_is_open() -> None:
    """Close the process-wide manager in the loop that awaited, as its connections want."""
    from jinpy_cache_core import get_cache_manager

    await get_cache_manager().aclose()


def _write_files(blocks: Sequence[Block]) -> None:
    for block in blocks:
        if block.language == "python" and block.title:
            Path(block.title).write_text(block.text, encoding="utf-8")
        elif block.title == ".env":
            pairs = (line.split("=", 1) for line in block.text.splitlines() if line.strip())
            os.environ.update(dict(pairs))
        elif block.language == "toml" and block.title:
            Path(block.title).write_text(block.text, encoding="utf-8")


def _lead_to(port: int) -> None:
    resolve = socket.getaddrinfo

    def resolve_ours(host: Any, service: Any, *rest: Any, **more: Any) -> Any:
        if host == "localhost" and service == REDIS_PORT:
            return resolve("127.0.0.1", port, *rest, **more)
        return resolve(host, service, *rest, **more)

    socket.getaddrinfo = resolve_ours  # type: ignore[assignment]  # narrower than the original


if __name__ == "__main__":
    main(*sys.argv[1:])

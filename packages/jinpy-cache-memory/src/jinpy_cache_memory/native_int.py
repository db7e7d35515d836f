"""The integers of the engine: machine words where it is compiled, ordinary ones elsewhere."""

COMPILING = False
"""Taken for true by mypy and mypyc, which know `i64`; at run time it is an `int`."""

if COMPILING:
    from mypy_extensions import i64
else:
    i64 = int

__all__ = ["i64"]

"""Finding the standard library's modules, and telling what each of them holds."""

import ast
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

_TESTS = {"test", "tests", "idle_test"}
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@attrs.frozen(kw_only=True)
class ModuleSummary:
    """What one module holds.

    Attributes:
        lines: Lines of source.
        functions: Functions and methods, coroutines included.
        classes: Classes.
        imports: The top-level packages that the module imports, sorted.
        documented: How many of the module, its classes and its functions have a docstring.
    """

    lines: int
    functions: int
    classes: int
    imports: tuple[str, ...]
    documented: int


def standard_library() -> Iterator[Path]:
    """Find the source of every pure-Python module of the running interpreter, tests left out."""
    root = Path(sysconfig.get_path("stdlib"))
    for name in sys.stdlib_module_names:
        if (module := root / f"{name}.py").is_file():
            yield module
        for module in root.joinpath(name).rglob("*.py"):
            if not _TESTS.intersection(module.relative_to(root).parts):
                yield module


def summarise(source: bytes) -> ModuleSummary:
    """Parse one module and count what it holds."""
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    documented = [node for node in nodes if isinstance(node, _DOCUMENTED)]
    return ModuleSummary(
        lines=len(source.splitlines()),
        functions=sum(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in nodes),
        classes=sum(isinstance(node, ast.ClassDef) for node in nodes),
        imports=tuple(sorted(set(_imported(nodes)))),
        documented=sum(ast.get_docstring(node, clean=False) is not None for node in documented),
    )


def _imported(nodes: Sequence[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]

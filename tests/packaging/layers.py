"""Who imports whom: the rooms of each distribution, their order, and the doors between them.

Read from the source alone, so that nothing has to be installed. `python tests/packaging/layers.py`
prints what the test asserts.
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGES = Path(__file__).resolve().parents[2] / "packages"

LAYERS = {
    "jinpy_cache_core": [
        {"functions"},
        {"manager"},
        {"configuration"},
        {"backend"},
        {"interfaces", "config"},
        {"loading"},
        {"outage"},
        {"codec"},
        {"settings"},
        {"entries"},
        {"serializers"},
        {"lifecycle", "declarations", "exceptions", "secret", "sentinels", "clock", "forks"},
        {"enums"},
    ],
    "jinpy_cache_redis": [
        {"backend"},
        {"drivers"},
        {"config"},
        {"urls", "commands"},
        {"connections"},
        {"routing"},
        {"protocol"},
    ],
    "jinpy_cache_memory": [
        {"backend"},
        {"leases"},
        {"values"},
        {"config", "_compiled"},
        {"weigher", "engine"},
        {"eviction", "wheel", "region"},
        {"entry", "listeners"},
        {"native_int"},
    ],
}
"""The rooms from the top floor down; a room imports only what stands below it."""

DOORS = {
    f"jinpy_cache_core{door}"
    for door in ("", ".backend", ".serializers", ".settings", ".exceptions", ".interfaces")
}
"""What backends may import of the core; each lists its names in `__all__`."""

BACKENDS = ("jinpy_cache_memory", "jinpy_cache_file", "jinpy_cache_redis")


@dataclass(frozen=True, slots=True)
class Import:
    """One import at run time or for type checkers.

    Attributes:
        path: The importing module's file.
        line: Where it stands.
        importer: The importing module.
        imported: The imported module.
    """

    path: Path
    line: int
    importer: str
    imported: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(PACKAGES)}:{self.line} imports {self.imported}"

    def rooms(self, package: str) -> tuple[str, str]:
        """The rooms of a package that the two modules stand in; the package itself has none."""
        return _room(self.importer, package), _room(self.imported, package)


def source_of(package: str) -> Path:
    """The folder of an import package."""
    return PACKAGES / package.replace("_", "-") / "src" / package


def modules_of(package: str) -> dict[str, Path]:
    """The modules of an import package by name, with their files."""
    root = source_of(package)
    found: dict[str, Path] = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(package: str) -> Iterator[Import]:
    """Every import of our own packages in a package."""
    known = {name for one in (*LAYERS, "jinpy_cache_file") for name in modules_of(one)}
    for module, path in modules_of(package).items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.name in known:
                        yield Import(path, node.lineno, module, alias.name)
            elif isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    deeper = f"{node.module}.{alias.name}"
                    imported = deeper if deeper in known else node.module
                    if imported in known:
                        yield Import(path, node.lineno, module, imported)


def rooms_of(package: str) -> list[str]:
    """The modules and folders on the first level of a package."""
    return sorted({_room(module, package) for module in modules_of(package)} - {""})


def upward(package: str) -> list[Import]:
    """The imports that do not go down: up, or sideways to another room of the same floor."""
    floor = {room: depth for depth, rooms in enumerate(LAYERS[package]) for room in rooms}
    wrong: list[Import] = []
    for one in imports_of(package):
        if not one.imported.startswith(package):
            continue
        above, below = one.rooms(package)
        if above and below and above != below and floor[below] <= floor[above]:
            wrong.append(one)
    return wrong


def circles(package: str) -> list[list[str]]:
    """The circles among the modules of a package, each from one module back to itself."""
    graph: dict[str, set[str]] = {}
    for one in imports_of(package):
        if one.imported.startswith(package) and one.imported != one.importer:
            graph.setdefault(one.importer, set()).add(one.imported)
    found: list[list[str]] = []
    state: dict[str, int] = {}

    def visit(module: str, path: list[str]) -> None:
        state[module] = 1
        for imported in sorted(graph.get(module, ())):
            if state.get(imported) == 1:
                found.append([*path[path.index(imported) :], imported])
            elif imported not in state:
                visit(imported, [*path, imported])
        state[module] = 2

    for module in sorted(graph):
        if module not in state:
            visit(module, [module])
    return found


def past_the_doors() -> list[Import]:
    """The imports by which our backends reach past the doors of the core."""
    return [
        one
        for backend in BACKENDS
        for one in imports_of(backend)
        if one.imported.startswith("jinpy_cache_core") and not _is_public(one.imported)
    ]


def _is_public(module: str) -> bool:
    """Whether a module is a door, or one that a door lists."""
    door, _, name = module.rpartition(".")
    return module in DOORS or (door in DOORS and name in _listed(door))


def _listed(door: str) -> list[str]:
    tree = ast.parse(modules_of("jinpy_cache_core")[door].read_text())
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names: list[str] = ast.literal_eval(node.value)
            return names
    return []


def report() -> str:
    """The figures, in words."""
    lines = [
        f"{package}: {len(rooms_of(package))} rooms, {len(upward(package))} imports upward, "
        f"{len(circles(package))} circles"
        for package in LAYERS
    ]
    lines.append(f"backends: {len(past_the_doors())} imports past a door of the core")
    return "\n".join(lines)


def _room(module: str, package: str) -> str:
    return module[len(package) + 1 :].partition(".")[0]


if __name__ == "__main__":
    sys.stdout.write(f"{report()}\n")

"""`scripts/bench all`: every benchmark, each in a process of its own, into one JSON file."""

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from jinpy_cache_memory import compiled


def measure_all(runs: Mapping[str, Sequence[str]]) -> tuple[dict[str, Any], bool]:
    """Run every benchmark, one after the other.

    Args:
        runs: The benchmarks by name, with the arguments that each is run with.

    Returns:
        What was measured, where and when; and whether every benchmark ran and every promise holds.
    """
    benchmarks: dict[str, Any] = {}
    all_hold = True
    with tempfile.TemporaryDirectory() as folder:
        for name, arguments in runs.items():
            result = Path(folder, f"{name}.json")
            command = [sys.executable, "-m", "bench_suite", name, "--json", str(result), *arguments]
            all_hold &= subprocess.run(command, check=False).returncode == 0
            if result.exists():
                found = json.loads(result.read_text(encoding="utf-8"))
                benchmarks[name] = {
                    key: value for key, value in found.items() if key not in _SAID_ONCE
                }
    return {**_circumstances(), "benchmarks": benchmarks}, all_hold


_SAID_ONCE = frozenset({"benchmark", "python", "machine", "processor", "distributions"})


def _circumstances() -> dict[str, Any]:
    installed = {each.name: each.version for each in distributions()}
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "memory_engine": "machine code" if compiled else "source",
        "machine": {
            "summary": f"{_processor()}, {os.cpu_count()} CPUs, {platform.system()} "
            f"{platform.release()}, {platform.python_implementation()} {platform.python_version()}",
            "processor": _processor(),
            "cpus": os.cpu_count(),
            "system": f"{platform.system()} {platform.release()}",
            "architecture": platform.machine(),
        },
        "distributions": dict(sorted(installed.items())),
    }


def _processor() -> str:
    """The model of the processor, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()

"""Several processes that compute over one server."""

from pathlib import Path
from uuid import uuid4

from tests.redis.servers import Server

from jinpy_cache_testing.processes import computed_in_processes, stressed


def _url(server: Server) -> str:
    """A namespace of the test's own."""
    mark = "&" if "?" in server.url else "?"
    return f"{server.url}{mark}namespace=computing-{uuid4().hex}"


def test_four_processes_compute_once(standalone: Server, tmp_path: Path):
    """One computes, three wait, and all have its value."""
    report = computed_in_processes(_url(standalone), tmp_path)

    assert 1 == len(report.computed)
    assert 4 == len(report.results)
    assert 1 == len(set(report.results))


def test_random_deletes_let_no_older_value_through(standalone: Server, tmp_path: Path):
    """Among threads, loops and processes each generation is computed once, and none too late."""
    report = stressed(_url(standalone), tmp_path)

    assert [] == report.wrong
    assert 60 == report.deletes
    assert len(set(report.computed)) == len(report.computed)
    assert 2 <= len(report.computed) <= 61

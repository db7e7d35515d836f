"""Several processes that compute over one directory."""

from pathlib import Path

from jinpy_cache_testing.processes import computed_in_processes, stressed


def _url(tmp_path: Path) -> tuple[str, Path]:
    notes = tmp_path / "notes"
    notes.mkdir()
    return f"file://{tmp_path / 'cache'}?lock_timeout=30", notes


def test_four_processes_compute_once(tmp_path: Path):
    """One computes, three wait, and all have its value."""
    report = computed_in_processes(*_url(tmp_path))

    assert 1 == len(report.computed)
    assert 4 == len(report.results)
    assert 1 == len(set(report.results))


def test_random_deletes_let_no_older_value_through(tmp_path: Path):
    """Among threads, loops and processes each generation is computed once, and none too late."""
    report = stressed(*_url(tmp_path))

    assert [] == report.wrong
    assert 60 == report.deletes
    assert len(set(report.computed)) == len(report.computed)
    assert 2 <= len(report.computed) <= 61

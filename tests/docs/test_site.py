"""The built site: complete, whole and without a warning."""

import re
from pathlib import Path

import pytest

from jinpy_utils.cache import CacheManager
from site_check.html import broken_links, read_site

MEMBERS = [
    *("get", "set", "delete", "exists", "clear", "get_many", "set_many", "delete_many"),
    *("incr", "decr", "ttl", "touch", "is_healthy", "close"),
    *("aget", "aset", "adelete", "aexists", "aclear", "aget_many", "aset_many", "adelete_many"),
    *("aincr", "adecr", "attl", "atouch", "ais_healthy", "aclose"),
]

UNRENDERED = re.compile(r":::|```|\]\(|^#{1,6} |\*\*\w|\[[\w.]+\]\[|\{[#.][\w-]+\}", re.MULTILINE)


@pytest.fixture(scope="module")
def pages(site: Path):
    """Every page of the site, read."""
    return read_site(site)


def test_the_site_builds_without_a_warning(build_log: tuple[Path, str]) -> None:
    """`mkdocs build --strict` has nothing to complain about."""
    _, said = build_log
    assert [] == [line for line in said.splitlines() if not line.startswith("INFO")]


def test_the_reference_page_shows_every_member_of_the_base_backend(pages, site: Path) -> None:
    """All 28 are there with heading, signature and source."""
    page = pages[site / "cache-backends-api" / "index.html"]
    assert 28 == len(MEMBERS)
    _, *sections = page.path.read_text(encoding="utf-8").split('class="doc doc-heading"')
    shown = {section.partition('<a href="#')[2].partition('"')[0]: section for section in sections}
    for member in MEMBERS:
        anchor = f"jinpy_utils.cache.backends.BaseBackend.{member}"
        assert anchor in page.headings
        assert "doc-signature" in shown[anchor], member
        source = shown[anchor].partition("Source code in")[2]
        assert f"def {member}(" in re.sub(r"<[^>]+>", "", source), member


def test_the_reference_shows_everything_a_manager_can_do(pages, site: Path) -> None:
    """Its own methods, and each operation of a cache."""
    page = pages[site / "reference" / "core" / "index.html"]
    shown = {name for name in dir(CacheManager) if not name.startswith("_")}
    assert shown == {
        anchor.rpartition(".")[2]
        for anchor in page.headings
        if anchor.startswith("jinpy_utils.cache.CacheManager.")
    }


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("backends.MemoryCacheBackend", "jinpy_cache_memory/"),
        ("backends.RedisCacheBackend", "jinpy_cache_redis/"),
        ("backends.FileCacheBackend", "jinpy_cache_file/"),
        ("backends.BaseBackend", "jinpy_cache_core/"),
        ("CacheBackendFactory", "jinpy_cache_core/"),
    ],
)
def test_the_reference_page_shows_the_source_of(pages, site: Path, name: str, module: str) -> None:
    """Each class of the page comes with its source code, found through the re-exports."""
    page = pages[site / "cache-backends-api" / "index.html"]
    assert f"jinpy_utils.cache.{name}" in page.anchors
    text = page.path.read_text(encoding="utf-8")
    section = text.partition(f'id="jinpy_utils.cache.{name}"')[2]
    summary = section.partition("<summary>")[2].partition("</summary>")[0]
    assert module in summary
    shown = re.sub(r"<[^>]+>", "", section.partition("</summary>")[2].partition("</details>")[0])
    assert f"class {name.rpartition('.')[2]}" in shown


def test_no_page_shows_unrendered_markup(pages) -> None:
    """No `:::` and no Markdown is left outside of code."""
    left = {
        f"{page.path.parent.name}: {found[0]}"
        for page in pages.values()
        for found in UNRENDERED.finditer(page.prose)
    }
    assert set() == left


def test_no_link_is_broken_and_nothing_is_loaded_from_elsewhere(pages, site: Path) -> None:
    """Linked pages and anchors exist; images, scripts and styles are all part of the site."""
    broken = {
        f"{page.path.relative_to(site)}: {target}"
        for page in pages.values()
        for target in broken_links(page, site, pages)
    }
    assert set() == broken


def test_the_front_page_compares_as_the_site_does(root: Path) -> None:
    """The table of features is the same in the README and on its page."""
    tables = [
        [line for line in (root / page).read_text().splitlines() if line.startswith("|")]
        for page in ("README.md", "docs/comparison.md")
    ]
    [front, page] = ["\n".join(table) for table in tables]
    assert page
    assert page in front

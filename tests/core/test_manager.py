"""The manager: owns backends by name, is one per process unless asked otherwise, replaces whole."""

import asyncio
import os
import threading
from typing import Any

import pytest

from jinpy_cache_core import (
    CacheClosedError,
    CacheConfigurationError,
    CacheManager,
    CacheManagerConfig,
    get_cache,
    get_cache_manager,
)


def test_there_is_one_manager_for_the_process() -> None:
    """`CacheManager()` and `get_cache_manager()` return what `CacheManager(config)` configured."""
    manager = CacheManager(CacheManagerConfig(backends=["shelf://a"]))
    assert manager is CacheManager()
    assert manager is get_cache_manager()
    assert list(manager.backends) == ["a"]


def test_an_independent_manager_shares_nothing() -> None:
    """Two managers with `enable_singleton=False` have backends of their own, declared nowhere."""
    config = CacheManagerConfig(backends=["shelf://a"], enable_singleton=False)
    one, two = CacheManager(config), CacheManager(config)
    one.set("key", 1)
    assert (one.get("key"), two.get("key")) == (1, None)
    with pytest.raises(CacheConfigurationError, match="No cache backend is configured as 'a'"):
        CacheManager().backend("a")
    one.close()
    assert two.delete_many(["key"]) == 0
    two.close()


def test_a_declared_backend_is_opened_on_first_use(shelf: Any) -> None:
    """Making a configuration opens nothing; using one of its names does."""
    CacheManagerConfig(backends=["shelf://a", "shelf://b"])
    assert shelf.made == []
    get_cache("b").set("key", 1)
    assert [backend.name for backend in shelf.made] == ["b"]
    assert CacheManager().get("key", backend="b") == 1


def test_the_last_declaration_counts_for_unknown_names_only(shelf: Any) -> None:
    """A name that is open keeps its backend; a new one comes from the last configuration."""
    CacheManagerConfig(backends=["shelf://a?size=1"])
    first = CacheManager().backend("a")
    CacheManagerConfig(backends=["shelf://a?size=2", "shelf://b?size=3"])
    assert first is CacheManager().backend("a")
    assert CacheManager().backend("b").config.size == 3


def test_the_default_is_the_one_named_or_the_first() -> None:
    """Without `backend=` the operations go to the default backend."""
    with CacheManager(CacheManagerConfig(backends=["shelf://a", "shelf://b"])) as manager:
        manager.set("key", "in a")
        assert (manager.get("key", backend="a"), manager.get("key", backend="b")) == ("in a", None)
    config = CacheManagerConfig(backends=["shelf://a", "shelf://b"], default_backend="b")
    with CacheManager(config) as manager:
        manager.set("key", "in b")
        assert manager.get_many(["key"], backend="b") == {"key": "in b"}


def test_an_unknown_name_is_answered_by_the_known_ones() -> None:
    """The error lists what is configured and the nearest name."""
    manager = CacheManager(CacheManagerConfig(backends=["shelf://sessions"]))
    with pytest.raises(
        CacheConfigurationError,
        match=r"configured as 'session'; there are 'sessions'. Did you mean 'sessions'?",
    ):
        manager.get("key", backend="session")


def test_an_unknown_name_like_no_other_is_answered_by_how_to_configure() -> None:
    """Where no known name is near, the error says how to make one known."""
    with pytest.raises(CacheConfigurationError, match=r"Configure it: CacheManager\(config\)"):
        CacheManager(CacheManagerConfig(backends=["shelf://a"])).get("key", backend="orders")


def test_a_url_is_not_taken_for_a_name_nor_repeated() -> None:
    """The error says where a URL belongs, and shows no password."""
    manager = CacheManager(CacheManagerConfig(backends=["shelf://a"]))
    with pytest.raises(CacheConfigurationError, match="not by a URL") as caught:
        manager.get("key", backend="shelf://user:canary@host")
    assert "canary" not in str(caught.value)


def test_plain_data_is_not_taken_for_a_configuration() -> None:
    """The error names the ways from data to a configuration."""
    with pytest.raises(CacheConfigurationError, match=r"not dict.*from_dict"):
        CacheManager({"backends": []})  # type: ignore[arg-type]


def test_configuring_again_replaces_and_closes(shelf: Any) -> None:
    """The new backends take the place of the old ones, which are closed."""
    manager = CacheManager(CacheManagerConfig(backends=["shelf://a"]))
    old = manager.backend("a")
    CacheManager(CacheManagerConfig(backends=["shelf://a"]))
    assert old.closed
    assert manager.backend("a") is not old
    assert not manager.backend("a").closed


def test_a_failed_configuration_leaves_the_old_one_serving(shelf: Any) -> None:
    """When one of the new backends cannot be built, those built are closed and nothing changes."""
    manager = CacheManager(CacheManagerConfig(backends=["shelf://a"]))
    manager.set("key", 1)
    broken = CacheManagerConfig(backends=["shelf://b", "shelf://c?broken=yes"])
    with pytest.raises(RuntimeError, match="no shelf"):
        CacheManager(broken)
    assert manager.get("key") == 1
    assert {one.name: one.closed for one in shelf.made} == {"a": False, "b": True}


def test_configuring_under_load_loses_no_call() -> None:
    """Threads that use a cache while it is replaced see values, misses or a closed cache."""
    CacheManager(CacheManagerConfig(backends=["shelf://a"]))
    cache, wrong, stop = get_cache("a"), [], threading.Event()

    def use() -> None:
        while not stop.is_set():
            try:
                cache.set("key", "value")
                if cache.get("key") not in ("value", None):
                    wrong.append("value")
            except CacheClosedError:
                pass
            except Exception as error:
                wrong.append(repr(error))

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        CacheManager(CacheManagerConfig(backends=["shelf://a"]))
    stop.set()
    for thread in threads:
        thread.join()
    cache.set("key", "last")
    assert (wrong, CacheManager().get("key", backend="a")) == ([], "last")


def test_closing_closes_all_and_raises_the_first_failure(shelf: Any) -> None:
    """One backend that cannot be closed keeps none of the others open."""
    manager = CacheManager(
        CacheManagerConfig(backends=["shelf://a?stuck=1", "shelf://b", "shelf://c?stuck=1"])
    )
    with pytest.raises(OSError, match="a is stuck") as caught:
        manager.close()
    assert (caught.value.__notes__) == [
        "Closing another cache backend failed too: OSError('c is stuck')"
    ]
    assert [one.closed for one in shelf.made] == [True, True, True]
    manager.close()


def test_a_closed_manager_says_so_until_it_is_configured_again() -> None:
    """Nothing is reopened silently; a new configuration, or declaration, is no silence."""
    manager = CacheManager(CacheManagerConfig(backends=["shelf://a"]))
    cache = get_cache("a")
    cache.set("key", 1)
    manager.close()
    for use in (lambda: manager.get("key"), lambda: cache.get("key"), get_cache("a").clear):
        with pytest.raises(CacheClosedError):
            use()
    CacheManagerConfig(backends=["shelf://a"])
    assert get_cache("a").get("key", "gone") == "gone"


async def test_clients_are_bound_to_one_backend() -> None:
    """`using` and `ausing` yield clients of the named backend and leave it open."""
    manager = CacheManager(CacheManagerConfig(backends=["shelf://a", "shelf://b"]))
    with manager.using("b") as client:
        client.set("key", 1)
    async with manager.ausing("b") as async_client:
        assert await async_client.aget("key") == 1
    assert manager.get("key", backend="b") == 1
    assert not hasattr(client, "aget")
    assert not hasattr(async_client, "get")


async def test_an_async_manager_closes_what_it_opened(shelf: Any) -> None:
    """`async with` closes every backend."""
    async with CacheManager(CacheManagerConfig(backends=["shelf://a"])) as manager:
        await manager.aset("key", 1)
        assert (await manager.aget("key"), await manager.aexists("key")) == (1, True)
        assert [key async for key in manager.ascan()] == ["key"]
    assert [one.closed for one in shelf.made] == [True]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_forked_child_can_use_the_manager() -> None:
    """A lock that another thread held at the fork does not hang the child."""
    manager = CacheManager(CacheManagerConfig(backends=["shelf://a"]))
    with manager._lock:
        child = threading.Thread(target=lambda: results.append(_forked(manager)))
        results: list[int] = []
        child.start()
        child.join(30)
    assert results == [0]


def _forked(manager: CacheManager) -> int:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of fork beside threads
        pid = os.fork()
    if pid == 0:
        manager.backend("a").set("key", 1)
        os._exit(0 if manager.backend("a").get("key") == 1 else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_the_repr_names_the_backends() -> None:
    """A manager shows its names, and that it is closed."""
    manager = CacheManager(CacheManagerConfig(backends=["shelf://a", "shelf://b"]))
    assert repr(manager) == "<CacheManager 'a', 'b'>"
    asyncio.run(manager.aclose())
    assert repr(manager) == "<CacheManager closed>"

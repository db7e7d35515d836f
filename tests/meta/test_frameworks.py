"""The README's cached function behind the frameworks that people put in front of it."""

import asyncio

import pytest

from jinpy_utils.cache import (
    CacheManager,
    CacheManagerConfig,
    MemoryCacheConfig,
    cached,
    isolated_caches,
)

CALLS: list[str] = []


@cached(ttl=60, backend="disk")
def weather(city: str) -> dict[str, float]:
    """What a slow service would say."""
    CALLS.append(city)
    return {"temperature": 21.5}


@cached(ttl=60, backend="disk")
async def forecast(city: str) -> dict[str, float]:
    """The same, awaited."""
    CALLS.append(city)
    await asyncio.sleep(0)
    return {"temperature": 21.5}


@pytest.fixture(autouse=True)
def _caches():
    CALLS.clear()
    with isolated_caches():
        CacheManager(CacheManagerConfig(backends=[MemoryCacheConfig(name="disk")]))
        yield


def test_as_a_fastapi_endpoint():
    """Decorated endpoints keep their parameters, their validation and their place in the schema."""
    fastapi = pytest.importorskip("fastapi")
    testclient = pytest.importorskip("fastapi.testclient")
    app = fastapi.FastAPI()
    app.get("/weather/{city}")(weather)
    app.get("/forecast/{city}")(forecast)

    @app.get("/days")
    @cached(key="days:{days}:{city}")
    async def days(city: str, days: int = 3) -> list[float]:
        CALLS.append(city)
        return [21.5] * days

    with testclient.TestClient(app) as client:
        for path in ("/weather/Oslo", "/forecast/Rome"):
            for _ in range(2):
                assert {"temperature": 21.5} == client.get(path).json()
        assert [21.5, 21.5] == client.get("/days?city=Bonn&days=2").json()
        assert [21.5, 21.5] == client.get("/days?city=Bonn&days=2").json()
        assert 422 == client.get("/days?city=Bonn&days=two").status_code
        schema = client.get("/openapi.json").json()["paths"]
    assert ["Oslo", "Rome", "Bonn"] == CALLS
    assert ["city"] == [one["name"] for one in schema["/weather/{city}"]["get"]["parameters"]]
    assert "What a slow service would say." == schema["/weather/{city}"]["get"]["description"]
    assert ["city", "days"] == [one["name"] for one in schema["/days"]["get"]["parameters"]]


def test_as_a_flask_view():
    """A decorated view is called by the names in its route."""
    flask = pytest.importorskip("flask")
    app = flask.Flask(__name__)
    app.get("/weather/<city>")(weather)
    app.get("/forecast/<city>")(lambda city: asyncio.run(forecast(city)))
    with app.test_client() as client:
        for path in ("/weather/Oslo", "/forecast/Rome"):
            for _ in range(2):
                assert {"temperature": 21.5} == client.get(path).get_json()
    assert ["Oslo", "Rome"] == CALLS


def test_in_django_views():
    """Behind a synchronous and an asynchronous view; the request is left out of a key."""
    django = pytest.importorskip("django")
    from django.conf import settings
    from django.http import JsonResponse
    from django.test import AsyncRequestFactory, RequestFactory

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["testserver"], USE_TZ=True)
        django.setup()

    @cached(ttl=60, backend="disk", ignore="request")
    def of_request(request, city):
        CALLS.append(city)
        return {"temperature": 21.5}

    async def asynchronous(request, city):
        return JsonResponse(await forecast(city))

    for city in ("Oslo", "Oslo"):
        view = JsonResponse({**weather(city), **of_request(RequestFactory().get("/"), city)})
        assert b'{"temperature": 21.5}' == view.content
    for city in ("Rome", "Rome"):
        answer = asyncio.run(asynchronous(AsyncRequestFactory().get("/"), city))
        assert b'{"temperature": 21.5}' == answer.content
    assert ["Oslo", "Oslo", "Rome"] == CALLS

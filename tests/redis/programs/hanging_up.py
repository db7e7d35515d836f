"""A Starlette application that streams what is expensive: who hangs up cancels it."""

from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route
from tests.redis.programs.web import acompute


async def value(request):
    """The expensive value, awaited while the client may go."""

    async def body():
        yield (await acompute(request.path_params["key"])).encode()

    return StreamingResponse(body())


application = Starlette(routes=[Route("/value/{key}", value)])

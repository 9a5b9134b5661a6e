"""The routes of the server."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import FastAPI, Path, Request, Response
from starlette.exceptions import HTTPException

from derain import __version__
from derain.restore import MOST_STRENGTH
from derain.serve import api_page, static
from derain.serve.exchange import JOB, checked_job, exchange
from derain.serve.headers import App, Guard, has_key, headers_of
from derain.serve.negotiation import TYPES, offered_formats
from derain.serve.problems import TYPE, Problem, answer
from derain.serve.service import Service

JobPath = Annotated[
    str,
    Path(
        description="The UUID that was sent with the picture.",
        json_schema_extra={"pattern": JOB},
    ),
]


def create_app(service: Service) -> App:
    """Return the server's application, for ASGI.

    Args:
        service: What it hands the pictures to; it has to be started.
    """
    app = FastAPI(
        title="derain",
        version=__version__,
        summary="Removes rain from pictures.",
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
    )
    _add_errors(app)
    _add_pictures(app, service)
    _add_state(app, service)
    _add_pages(app, service)
    return Guard(app, service.settings)


def _add_pictures(app: FastAPI, service: Service) -> None:
    """Add what takes a picture, and what follows it."""

    @app.post("/v1/derain", response_class=Response, **_described_as_picture())
    async def derain(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        """Take the rain out of a picture.

        The picture is the body of the request, or the field `image` of a form, which may also have
        the parameters as fields. The format of the result is chosen by the header `Accept`; if that
        leaves it open, it is the format of the picture.
        """
        return await exchange(service, request)

    @app.get("/v1/jobs/{job}", responses=_described(404, 422))
    async def follow(job: JobPath) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        """Say how far the work on a picture is."""
        found = service.jobs.get(checked_job(job))
        if found is None:
            raise _unknown_job()
        return found.described()

    @app.delete("/v1/jobs/{job}", status_code=204, responses=_described(404, 422))
    async def cancel(job: JobPath) -> Response:  # pyright: ignore[reportUnusedFunction]
        """Take a picture back: nobody waits for its result."""
        found = service.jobs.get(checked_job(job))
        if found is None:
            raise _unknown_job()
        found.cancel()
        return Response(status_code=204)


def _add_state(app: FastAPI, service: Service) -> None:
    """Add what tells of the server."""

    @app.get("/v1/models")
    async def models(request: Request) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        """List the weights and qualities to choose from, the formats and the limits.

        `needs_key` is true if pictures are taken with a key only, and this request has another one
        or none.
        """
        settings = service.settings
        return {
            "version": __version__,
            "needs_key": not has_key(settings, headers_of(request.scope)),
            "models": service.models.described(),
            "qualities": service.models.qualities,
            "formats": [TYPES[format] for format in offered_formats()],
            "limits": {
                "bytes": settings.max_bytes,
                "pixels": settings.max_pixels,
                "queue": settings.queue,
            },
        }

    @app.get("/healthz")
    async def healthy() -> dict[str, str]:  # pyright: ignore[reportUnusedFunction]
        """Say that the server runs."""
        return {"status": "ok"}

    @app.get("/readyz", responses=_described(503))
    async def ready() -> dict[str, str]:  # pyright: ignore[reportUnusedFunction]
        """Say whether the server takes pictures."""
        if not service.is_ready:
            raise Problem(503, "the server is stopping, or has no worker; try again later")
        return {"status": "ok"}

    @app.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def metrics() -> Response:  # pyright: ignore[reportUnusedFunction]
        """Return counters in Prometheus's text format."""
        return Response(service.metrics.text(), media_type=service.metrics.content_type)


def _add_pages(app: FastAPI, service: Service) -> None:
    """Add the web page, and the description of the API."""
    for path, file in static.read_files(service.settings.page).items():
        app.add_route(path, static.route_of(file), ["GET", "HEAD"], include_in_schema=False)

    async def docs(request: Request) -> Response:
        page = api_page.page_of(app.openapi(), str(request.base_url).rstrip("/"))
        return Response(page, media_type="text/html", headers={"cache-control": "no-cache"})

    app.add_route("/docs", docs, ["GET", "HEAD"], include_in_schema=False)


def _add_errors(app: FastAPI) -> None:
    """Answer everything that goes wrong in one way."""

    def answered(problem: Callable[[Any], Problem]) -> Callable[[Request, Any], Response]:
        return lambda request, error: answer(problem(error), request.headers.get("accept", ""))

    app.add_exception_handler(Problem, answered(lambda error: error))
    app.add_exception_handler(HTTPException, answered(_of_http))
    app.add_exception_handler(
        Exception,
        answered(lambda _: Problem(500, "an error of the server; its log says more")),
    )


def _of_http(error: HTTPException) -> Problem:
    """Return the problem of a path or method that there is not."""
    details = {
        404: "no such page; expected / or a path that /docs lists",
        405: "not a method of this path; /docs lists them",
    }
    headers = dict(error.headers or {})
    return Problem(error.status_code, details.get(error.status_code, str(error.detail)), headers)


def _unknown_job() -> Problem:
    return Problem(404, "no such job; expected the UUID of a picture that is or was under way")


# What the OpenAPI description says


def _described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the description of problems."""
    schema = {
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
        },
    }
    return {
        status: {"description": Problem(status, "").title, "content": {TYPE: {"schema": schema}}}
        for status in (*statuses, 401, 403, 421)
    }


def _described_as_picture() -> dict[str, Any]:
    """Return the description of what takes a picture."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    options = _described_options()
    form = {
        "type": "object",
        "required": ["image"],
        "properties": {"image": {"type": "string", "format": "binary"}, **options},
        "additionalProperties": False,
    }
    parameters = [
        {"name": name, "in": "query", "description": schema["description"], "schema": schema}
        for name, schema in options.items()
    ]
    types = [TYPES[format] for format in offered_formats()]
    problems = (400, 406, 408, 409, 413, 415, 422, 429, 500, 503, 504)
    picture = {"description": "The picture", "content": dict.fromkeys(types, binary)}
    body = {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": form},
            "application/octet-stream": binary,
            **dict.fromkeys(types, binary),
        },
    }
    return {
        "responses": {200: picture, **_described(*problems)},
        # FastAPI would check parameters in its own words; those of a form and a URL are read alike.
        "openapi_extra": {"parameters": parameters, "requestBody": body},
    }


def _described_options() -> dict[str, dict[str, Any]]:
    """Return the schemas of the options, which a client sends in the URL or in the form."""
    return {
        "model": {"type": "string", "description": "Weights; see /v1/models."},
        "quality": {
            "type": "string",
            "description": "In place of a model: fast, balanced or best.",
        },
        "strength": {
            "type": "number",
            "minimum": 0,
            "maximum": MOST_STRENGTH,
            "default": 1.0,
            "description": "Share of the rain to remove: 1 is all of it.",
        },
        "job": {
            "type": "string",
            "pattern": JOB,
            "description": "A UUID that the client chooses, to follow the work.",
        },
    }

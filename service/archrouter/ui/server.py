"""The page's own small HTTP server: files of the page, answers of the service, and who may ask at all."""

import asyncio
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any

import grpc
from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from archrouter.client import RoutingError
from archrouter.ui.folders import Folders
from archrouter.ui.service import Document, Service, UnusableTextError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

MAX_REQUEST_BYTES = 4 * 1024 * 1024
"""Two texts of the largest size that a policy file may have, and a long conversation."""

_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS = {
    # Nothing is loaded from elsewhere, no text ever becomes markup, and no other page may frame or read this one.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# A report may style itself and draw; it is another origin than the page, without scripts.
_REPORT_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"


class _Body(BaseModel):
    """What the page sends; each path takes what it needs."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: str = ""
    suite: str = ""
    messages: list[dict[str, str]] = []


_SERVICE = web.AppKey("service", Service)
_FOLDERS = web.AppKey("folders", Folders)
_FILES = web.AppKey("files", dict[str, tuple[str, bytes]])


def page_application(service: Service, folders: Folders) -> web.Application:
    """Make the application.

    Args:
        service: Who is asked.
        folders: What may be opened.

    Returns:
        It answers only requests that name this machine's loopback interface as their host and, where a browser says
        where a request comes from, only its own page's.
    """
    application = web.Application(middlewares=[_guard, _errors], client_max_size=MAX_REQUEST_BYTES)
    application[_SERVICE], application[_FOLDERS], application[_FILES] = service, folders, _page_files()
    application.add_routes(
        [
            web.get("/", _file),
            web.get("/assets/{name}", _file),
            web.get("/api/service", _describe),
            web.get("/api/names", _names),
            web.get("/api/text/{kind}/{name}", _text),
            web.get("/reports/{name}", _report),
            web.post("/api/check", _check),
            web.post("/api/route", _route),
            web.post("/api/suite", _suite),
        ]
    )
    return application


async def serve_page(application: web.Application, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serve until cancelled; `say` gets the page's address. Raises OSError when the port cannot be had."""
    # A question that the page no longer waits for, because its text went on, is not asked to the end.
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        here, bound, *_ = runner.addresses[0]
        say(f"http://{f'[{here}]' if ':' in here else here}:{bound}/")
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def _page_files() -> dict[str, tuple[str, bytes]]:
    """Read the page once: name to content type and content."""
    folder = files("archrouter.ui") / "page"
    found = [*folder.iterdir(), files("archrouter.workbench") / "templates" / "look.css"]
    return {one.name: (_TYPES["." + one.name.rpartition(".")[2]], one.read_bytes()) for one in found}


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse names that only look like this machine's (DNS rebinding), and other pages' requests (CSRF)."""
    here, port, *_ = request.transport.get_extra_info("sockname") if request.transport else ("", 0)
    here = f"[{here}]" if ":" in here else here
    origin = request.headers.get("Origin", "" if request.method == "POST" else None)
    if request.host not in {f"{here}:{port}", f"localhost:{port}"}:
        response: web.StreamResponse = _error(403, "HOST", f"open the page as http://{here}:{port}/")
    elif origin is not None and origin != f"http://{request.host}":
        response = _error(403, "ORIGIN", "only the page itself may ask")
    elif request.method == "POST" and request.content_type != "application/json":
        response = _error(415, "TYPE", "send application/json")
    else:
        response = await handler(request)
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Say what went wrong in a document that the page understands."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return _error(error.status, "HTTP", error.reason)
    except UnusableTextError as error:
        return _error(422, "UNUSABLE", str(error), findings=error.findings)
    except RoutingError as error:
        silent = error.code is grpc.StatusCode.DEADLINE_EXCEEDED and not error.reason
        away = silent or error.code is grpc.StatusCode.UNAVAILABLE
        return _error(502, error.reason or error.code.name, error.message, away=away)
    except LookupError:
        return _error(404, "NOT_FOUND", "there is no such file (any more)")
    except (OSError, ValueError) as error:
        return _error(400, "INVALID", getattr(error, "strerror", None) or str(error))


async def _file(request: web.Request) -> web.Response:
    content_type, content = request.app[_FILES][request.match_info.get("name", "index.html")]
    return web.Response(body=content, content_type=content_type, charset="utf-8")


async def _describe(request: web.Request) -> web.Response:
    return web.json_response(await request.app[_SERVICE].describe())


async def _names(request: web.Request) -> web.Response:
    return web.json_response(request.app[_FOLDERS].names())


async def _text(request: web.Request) -> web.Response:
    kind, name = request.match_info["kind"], request.match_info["name"]
    service, folders = request.app[_SERVICE], request.app[_FOLDERS]
    return web.Response(text=await service.policy_text(name) if kind == "sets" else folders.text(kind, name))


async def _report(request: web.Request) -> web.Response:
    text = request.app[_FOLDERS].text("reports", request.match_info["name"])
    return web.Response(text=text, content_type="text/html", headers={"Content-Security-Policy": _REPORT_POLICY})


async def _check(request: web.Request) -> web.Response:
    return web.json_response(await request.app[_SERVICE].check((await _body(request)).text))


async def _route(request: web.Request) -> web.Response:
    body = await _body(request)
    return web.json_response(await request.app[_SERVICE].route(body.text, body.messages))


async def _suite(request: web.Request) -> web.Response:
    body = await _body(request)
    return web.json_response(await request.app[_SERVICE].run_suite(body.text, body.suite))


async def _body(request: web.Request) -> _Body:
    try:
        return _Body.model_validate_json(await request.read())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        msg = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise ValueError(msg) from None


# Any: what JSON holds.
def _error(status: int, code: str, message: str, **more: Any) -> web.Response:  # noqa: ANN401
    document: Document = {"code": code, "message": message, **more}
    return web.json_response({"error": document}, status=status)

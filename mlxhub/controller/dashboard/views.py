"""The page at /hub: a shell without data; its scripts ask for that."""

from collections.abc import Callable
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src data:; "
        "connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "x-frame-options": "DENY",
    "permissions-policy": "loopback-network=(self), local-network=()",
}
_MEDIA_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}


def dashboard_routes(is_enabled: Callable[[], bool]) -> list[Route]:
    """`is_enabled` is asked each time: a reload may turn the page off."""
    page = _page()
    assets = {
        file.name: (file.read_bytes(), _MEDIA_TYPES[Path(file.name).suffix])
        for file in files("mlxhub.controller.dashboard").joinpath("assets").iterdir()
    }

    def respond(content: bytes, media_type: str) -> Response:
        if not is_enabled():
            raise HTTPException(404, "The status page is off (enable_status_page: false in hub.yaml).")
        return Response(content, media_type=media_type, headers=HEADERS)

    async def show_page(_request: Request) -> Response:
        return respond(page, "text/html; charset=utf-8")

    async def show_asset(request: Request) -> Response:
        found = assets.get(request.path_params["asset"])
        if found is None:
            raise HTTPException(404)
        return respond(*found)

    return [Route("/hub", show_page), Route("/hub/assets/{asset}", show_asset)]


def _page() -> bytes:
    environment = Environment(
        loader=PackageLoader("mlxhub.controller.dashboard", ""),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
    )
    return environment.get_template("hub.html.jinja").render(version=version("mlxhub")).encode()

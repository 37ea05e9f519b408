"""The page at /hub: a shell without data; its script fetches /hub/status."""

from collections.abc import Callable
from importlib.metadata import version
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "x-frame-options": "DENY",
    "permissions-policy": "loopback-network=(self), local-network=()",
}
_ASSETS = {"hub.css": "text/css; charset=utf-8", "hub.js": "text/javascript; charset=utf-8"}


def dashboard_routes(is_enabled: Callable[[], bool]) -> list[Route]:
    """`is_enabled` is asked each time: a reload may turn the page off."""
    shown = {"/hub": (_page(), "text/html; charset=utf-8")}
    for name, media_type in _ASSETS.items():
        content = files("mlxhub.controller.dashboard").joinpath(name).read_bytes()
        shown[f"/hub/{name}"] = (content, media_type)

    async def show(request: Request) -> Response:
        if not is_enabled():
            raise HTTPException(404, "The status page is off (enable_status_page: false in hub.yaml).")
        content, media_type = shown[request.url.path]
        return Response(content, media_type=media_type, headers=HEADERS)

    return [Route(path, show) for path in shown]


def _page() -> bytes:
    environment = Environment(
        loader=PackageLoader("mlxhub.controller.dashboard", ""),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
    )
    return environment.get_template("hub.html.jinja").render(version=version("mlxhub")).encode()

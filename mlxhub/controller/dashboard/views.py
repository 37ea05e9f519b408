"""The page at /hub: a shell without data; its script fetches /hub/status."""

from collections.abc import Callable
from importlib.metadata import version
from importlib.resources import files

from fastapi import APIRouter, Depends
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.exceptions import HTTPException
from starlette.responses import Response

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


def dashboard_routes(is_enabled: Callable[[], bool]) -> APIRouter:
    """`is_enabled` is asked each time: a reload may turn the page off."""

    async def require_enabled() -> None:
        if not is_enabled():
            raise HTTPException(404, "The status page is off (enable_status_page: false in hub.yaml).")

    router = APIRouter(dependencies=[Depends(require_enabled)])
    page = _page()
    assets = {name: files("mlxhub.controller.dashboard").joinpath(name).read_bytes() for name in _ASSETS}

    @router.get("/hub")
    async def show_page() -> Response:
        return Response(page, media_type="text/html; charset=utf-8", headers=HEADERS)

    def add_asset(name: str) -> None:
        @router.get(f"/hub/{name}")
        async def show_asset() -> Response:
            return Response(assets[name], media_type=_ASSETS[name], headers=HEADERS)

    for name in _ASSETS:
        add_asset(name)
    return router


def _page() -> bytes:
    environment = Environment(
        loader=PackageLoader("mlxhub.controller.dashboard", ""),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
    )
    return environment.get_template("hub.html.jinja").render(version=version("mlxhub")).encode()

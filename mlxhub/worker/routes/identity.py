"""GET /identity/{nonce}: proves to the hub that its own worker listens here."""

import re
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from mlxhub.core.config import WorkerSettings
from mlxhub.core.keys import make_proof
from mlxhub.files.keys import KeyFile
from mlxhub.protocol.worker import Identity
from mlxhub.refusals import InvalidRequest

_NONCE = re.compile("[0-9a-f]{32}")


class IdentityRoute:
    """Anybody may ask: what it answers helps nobody but who thought of the nonce."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._port = settings.port
        self._own = None if settings.keys is None else KeyFile(Path(settings.keys), "worker")

    async def get(self, request: Request) -> Response:
        nonce = request.path_params["nonce"]
        if not _NONCE.fullmatch(nonce):
            raise InvalidRequest("nonce: 32 hexadecimal digits.", "nonce")
        keys = () if self._own is None else self._own.current()[:1]
        proof = "".join(make_proof(key.secret, self._port, nonce) for key in keys)
        return Response(Identity(proof=proof).model_dump_json(), media_type="application/json")

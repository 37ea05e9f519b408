"""Programs of others that hold a port."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import BaseRequestHandler, TCPServer

_POLL_SECONDS = 0.05


@contextmanager
def curt_stranger() -> Iterator[int]:
    """Its port. It hangs up on whoever connects: who asks a silent one waits out a limit each time."""
    with TCPServer(("127.0.0.1", 0), BaseRequestHandler) as server:
        serving = threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,))
        serving.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            serving.join()

"""A process that is not ours on a port that should be."""

import contextlib
import socket
import threading
from collections.abc import Iterator


class Stranger:
    """Answers 200 to whatever it is asked, and keeps it."""

    def __init__(self, listener: socket.socket) -> None:
        self.heard = b""
        self._listener = listener
        self._connections: list[socket.socket] = []

    def serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def hang_up(self) -> None:
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _answer(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := connection.recv(65_536):
                self.heard += chunk
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")


@contextlib.contextmanager
def stranger_on(port: int) -> Iterator[Stranger]:
    """Afterwards it is gone, and the port free."""
    listener = socket.create_server(("127.0.0.1", port))
    stranger = Stranger(listener)
    thread = threading.Thread(target=stranger.serve)
    thread.start()
    try:
        yield stranger
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        stranger.hang_up()

"""A TCP proxy before a Unix socket that can misbehave as networks and dying servers do."""

import select
import socket
import struct
import threading
import time
from contextlib import suppress

FAULTS = ("pass", "drip", "swallow", "reset", "half", "close")
DRIP_SECONDS = 0.09  # a byte; below the client's limit of 100 ms for one read
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: a close that tells the other side of an error


class Proxy:
    """Hands bytes on, until `fault` says otherwise; counts connections and what clients ask for.

    pass: nothing is wrong. drip: answers come one byte each 90 ms. swallow: nothing passes either
    way.
    reset: an answer is replaced by a reset. half: of an answer only the first half comes, then the
    end.
    close: connections are closed as soon as they are made.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.fault = "pass"
        self._handing_on = threading.Event()  # cleared while everything is swallowed
        self._handing_on.set()
        self.connections = 0
        self.asked = bytearray()
        self._open: list[socket.socket] = []
        self._closed = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"

    def misbehave(self, fault: str) -> None:
        """Begin a fault; one that meets connections as they are made ends those that stand."""
        assert fault in FAULTS
        self.fault = fault
        (self._handing_on.clear if fault == "swallow" else self._handing_on.set)()
        if fault == "close":
            self.cut()

    def cut(self) -> None:
        """End every connection."""
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._closed.set()
        self._handing_on.set()
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server, suppress(OSError):
            if self.fault == "close":
                return
            server.connect(self._upstream)
            self._open += [client, server]
            try:
                while self._hand_on(client, server):
                    pass
            finally:
                self._open.remove(client)
                self._open.remove(server)

    def _hand_on(self, client: socket.socket, server: socket.socket) -> bool:
        """Hand one piece on, in either direction; return False when the connection is over."""
        # not by looking again and again: hundreds of connections may stand here
        self._handing_on.wait()
        readable, _, _ = select.select([client, server], [], [], 0.05)
        for source in readable:
            piece = source.recv(65_536)
            if not piece or self._closed.is_set():
                return False
            if source is client:
                self.asked += piece
                server.sendall(piece)
            elif not self._answer(client, piece):
                return False
        return True

    def _answer(self, client: socket.socket, piece: bytes) -> bool:
        fault = self.fault
        if fault == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            return False
        if fault == "drip":
            for byte in piece:
                client.sendall(bytes([byte]))
                time.sleep(DRIP_SECONDS)
            return True
        client.sendall(piece[: len(piece) // 2] if fault == "half" else piece)
        return fault != "half"

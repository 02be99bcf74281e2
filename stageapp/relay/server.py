"""The relay's listening socket: one thread a connection, and only so many of them."""

import socket
import socketserver
import sys
import threading
from contextlib import suppress
from http.server import ThreadingHTTPServer
from typing import Any

from stageapp import events
from stageapp.relay.forwarding import Forwarder
from stageapp.relay.requests import Handler, Limits

MOST_AT_ONCE = 16
_FULL = b"HTTP/1.0 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Relay(ThreadingHTTPServer):
    """The server. Its threads are waited for when it is closed; each ends by its own deadlines."""

    daemon_threads = False
    request_queue_size = 32

    def __init__(self, address: tuple[str, int], forwarder: Forwarder, limits: Limits) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._forwarder, self._room = forwarder, threading.BoundedSemaphore(MOST_AT_ONCE)
        super().__init__(address, type("BoundHandler", (Handler,), {"forwarder": forwarder, "limits": limits}))

    def server_bind(self) -> None:
        """Bind, without asking a name server what we are called."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Begin a thread; where there are enough the client is told to come again."""
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        with suppress(OSError):
            request.settimeout(0.1)
            request.sendall(_FULL)
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection, and make room for another."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Record what failed; the client's connection is closed."""
        events.relay_failed(error=type(sys.exc_info()[1]).__name__)

    def run_until(self, stop: threading.Event) -> None:
        """Serve until `stop` is set, then finish what has begun."""
        serving = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, name="stage-relay")
        serving.start()
        stop.wait()
        self._forwarder.stopping.set()
        self.shutdown()
        serving.join()
        self.server_close()

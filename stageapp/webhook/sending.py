"""Send one HTTP POST: no redirects, no proxy, and nothing of the response body kept."""

import http.client
from collections.abc import Mapping
from urllib.parse import urlsplit

PATH = "/_ops/stage-validation/auto-downgrade"


class NotReached(Exception):
    """The receiver is down, does not respond in time, or does not speak HTTP."""


def post(url: str, body: bytes, headers: Mapping[str, str], seconds: float) -> int:
    """Send a JSON body and return the status; `seconds` bounds the connect and each read.

    Raises:
        NotReached: there is no status.
    """
    address = urlsplit(url)
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    connection = kind(address.hostname or "", address.port, timeout=seconds)
    path = (address.path or "/") + (f"?{address.query}" if address.query else "")
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json", **headers})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise NotReached(type(error).__name__) from error
    finally:
        connection.close()

"""Where the relay listens, and where it sends."""

import ipaddress
from urllib.parse import urlsplit


class AddressError(ValueError):
    """An address to listen on that makes no sense, or that others could reach."""


def read_address(text: str, *, allow_remote: bool = False) -> tuple[str, int]:
    """Return host and port of `HOST:PORT` or `[HOST]:PORT`; the host is an IP address or localhost.

    Raises:
        AddressError: it is none, or not a loopback one and `allow_remote` is not said.
    """
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    host = "127.0.0.1" if host == "localhost" else host
    try:
        found, number = ipaddress.ip_address(host), int(port)
    except ValueError:
        raise AddressError(f"{text!r} is no HOST:PORT; write 127.0.0.1:9096 or [::1]:9096.") from None
    if not 0 <= number <= 65_535:
        raise AddressError(f"{number} is no port.")
    if not (found.is_loopback or allow_remote):
        raise AddressError(f"{host} can be reached from other machines. Listen on 127.0.0.1, or say --allow-remote.")
    return host, number


def read_url(text: str) -> str:
    """Return an http or https URL as it is; raises AddressError."""
    address = urlsplit(text)
    if address.scheme not in ("http", "https") or not address.hostname or address.username or address.fragment:
        raise AddressError(f"{text!r} is no http or https URL.")
    return text

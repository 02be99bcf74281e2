"""The origin of a request: the client's address, and whether it is in one of our networks.

Only REMOTE_ADDR is trusted, unless STAGE_TRUSTED_PROXIES gives the number of our proxies: each
appends the address it was called from to X-Forwarded-For, so that many entries from the right are
genuine, and anything that a client wrote itself is to the left of them.
"""

import hmac
import ipaddress
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from stageapp import conf

INTERNAL, EXTERNAL = "internal", "external"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def client_address(meta: Mapping[str, Any]) -> str:
    """Return the client's address behind trusted proxies, or empty; `meta` is WSGI's."""
    proxies = conf.settings.trusted_proxies
    if proxies < 1:
        return str(meta.get("REMOTE_ADDR") or "")
    entries = str(meta.get("HTTP_X_FORWARDED_FOR", "")).rsplit(",", proxies)
    return entries[-proxies].strip() if len(entries) >= proxies else ""


def classify(address: str) -> str:
    """Return `internal` for an address in STAGE_INTERNAL_NETWORKS, else `external`."""
    return INTERNAL if within(address, conf.settings.internal_networks) else EXTERNAL


def within(address: str, names: Iterable[str]) -> bool:
    """Whether an address is in one of the networks; an invalid address is in none."""
    return _within(address, tuple(names))


@lru_cache(maxsize=4096)
def _within(address: str, names: tuple[str, ...]) -> bool:
    ip = _address(address)
    return ip is not None and any(ip in network for network in _networks(names))


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    # Some proxies write the port: `1.2.3.4:5678` and `[::1]:5678`.
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        ip = ipaddress.ip_address(text)
    except ValueError:
        return None
    # ::ffff:10.0.0.1 is 10.0.0.1 on a socket for both versions.
    return getattr(ip, "ipv4_mapped", None) or ip


@lru_cache(maxsize=8)
def _networks(names: tuple[str, ...]) -> tuple[Network, ...]:
    """Return the valid networks; a system check reports the others."""
    return tuple(network for name in names if (network := parse(name)) is not None)


def parse(name: str) -> Network | None:
    """Parse a network in CIDR notation (RFC 4632), None if it is invalid."""
    try:
        return ipaddress.ip_network(name.strip())
    except ValueError:
        return None


# Who may look at the operators' side: `/metrics` of web and workers, and the door before `/_ops/`.
#
# Inside is who calls from a network of STAGE_OPS_NETWORKS. An address is believed only if it is the
# caller's own: a request that came through a proxy we were not told of (STAGE_TRUSTED_PROXIES)
# would seem to come from that proxy.

_SIGNS_OF_A_PROXY = (
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_REAL_IP",
    "HTTP_FORWARDED",
    "HTTP_VIA",
)


def inside(meta: Mapping[str, Any]) -> bool:
    """Whether a request comes from one of the operators' networks; `meta` is WSGI's."""
    if conf.settings.trusted_proxies < 1 and any(name in meta for name in _SIGNS_OF_A_PROXY):
        return False
    return within(client_address(meta), conf.settings.ops_networks)


def may_scrape(meta: Mapping[str, Any]) -> bool:
    """Whether a request may read metrics: from inside, or with a valid `Authorization: Bearer`."""
    if inside(meta):
        return True
    keyword, _, sent = str(meta.get("HTTP_AUTHORIZATION", "")).partition(" ")
    if keyword.lower() != "bearer":
        return False
    given = sent.strip().encode()
    matches = [hmac.compare_digest(given, token.encode()) for token in conf.metrics_tokens()]
    return any(matches)

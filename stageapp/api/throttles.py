"""Rate limits: a bucket per consumer or operator, and one per address for everyone else.

Buckets are local to the process (a request waits on no store), so with N processes a caller may
get up to N times the rate. An authenticated caller never shares a bucket, whatever its address.
"""

import ipaddress
from collections.abc import Mapping
from typing import Any

from rest_framework.exceptions import Throttled

from stageapp import conf
from stageapp.infrastructure import network
from stageapp.infrastructure.rates import TokenBuckets

MAX_KEYS = 10_000
IPV6_PREFIX = 64  # one customer has that many addresses

_callers = TokenBuckets(MAX_KEYS)
_strangers = TokenBuckets(MAX_KEYS)


def admit(caller: str) -> None:
    """Count a request of an authenticated caller; raises Throttled above its rate."""
    _admit(_callers, caller, conf.settings.throttle_per_minute)


def admit_stranger(meta: Mapping[str, Any]) -> None:
    """Count an unauthenticated request by its address (`meta` is WSGI's); raises Throttled."""
    _admit(
        _strangers,
        neighbourhood(network.client_address(meta)),
        conf.settings.throttle_anonymous_per_minute,
    )


def neighbourhood(address: str) -> str:
    """Return what shares a bucket: an IPv4 address, or the /64 network of an IPv6 address."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is None:
        return str(ipaddress.ip_network((int(ip) >> 64 << 64, IPV6_PREFIX)))
    return str(getattr(ip, "ipv4_mapped", None) or ip)


def forget() -> None:
    """Reset all buckets."""
    _callers.forget()
    _strangers.forget()


def _admit(buckets: TokenBuckets, key: str, per_minute: float) -> None:
    if per_minute > 0 and (wait := buckets.take(key, per_minute)):
        raise Throttled(wait)

"""Who may look at the operators' side: `/metrics` of web and workers, and the door before `/_ops/`.

Inside is who calls from a network of STAGE_OPS_NETWORKS. An address is believed only if it is the caller's own: a
request that came through a proxy we were not told of (STAGE_TRUSTED_PROXIES) would seem to come from that proxy.
"""

import hmac
from collections.abc import Mapping
from typing import Any

from stageapp import conf, network

_SIGNS_OF_A_PROXY = (
    "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PROTO", "HTTP_X_REAL_IP", "HTTP_FORWARDED",
    "HTTP_VIA",
)  # fmt: skip


def inside(meta: Mapping[str, Any]) -> bool:
    """Tell whether a request comes from one of the operators' networks. `meta` is WSGI's."""
    if conf.trusted_proxies() < 1 and any(name in meta for name in _SIGNS_OF_A_PROXY):
        return False
    return network.within(network.client_address(meta), conf.ops_networks())


def may_scrape(meta: Mapping[str, Any]) -> bool:
    """Tell whether a request may read metrics: from inside, or with `Authorization: Bearer` and a token of ours."""
    return inside(meta) or _bears_token(meta)


def _bears_token(meta: Mapping[str, Any]) -> bool:
    keyword, _, sent = str(meta.get("HTTP_AUTHORIZATION", "")).partition(" ")
    if keyword.lower() != "bearer":
        return False
    given = sent.strip().encode()
    matches = [hmac.compare_digest(given, token.encode()) for token in conf.metrics_tokens()]
    return any(matches)

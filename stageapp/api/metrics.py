"""GET /metrics: what all web processes of this server have counted, and what PostgreSQL knows."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from stageapp import metrics_archive, ops_access
from stageapp.gauges.reading import StoreCollector

CHALLENGE = 'Bearer realm="metrics"'


@csrf_exempt  # so that a wrong method is told as one
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Tell the metrics in Prometheus' text format to whoever may scrape; 401 to everybody else."""
    if not ops_access.may_scrape(request.META):
        return HttpResponse(
            "Scrape from one of STAGE_OPS_NETWORKS, or send STAGE_METRICS_TOKEN as a bearer token.\n",
            status=401, content_type="text/plain", headers={"WWW-Authenticate": CHALLENGE},
        )  # fmt: skip
    return HttpResponse(_text(), content_type=CONTENT_TYPE_PLAIN_0_0_4, headers={"Cache-Control": "no-store"})


def _text() -> bytes:
    stores = CollectorRegistry()
    stores.register(StoreCollector())
    read = generate_latest(stores)  # first, as it may have to wait: the counts are of now
    return metrics_archive.text() + read

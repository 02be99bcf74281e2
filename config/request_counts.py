"""django-prometheus request counts, with caller-controlled text kept out of the labels.

The package uses the method as sent for a label, which makes the label values unbounded, and fails
on a Content-Length that is not a number; this middleware prevents both. A file of its own: settings import
config/middleware.py before it is decided whether counts are shared, and this imports the counts.
"""

from contextlib import suppress
from typing import Any

from django.http import HttpRequest
from django_prometheus.middleware import PrometheusAfterMiddleware


class RequestCounts(PrometheusAfterMiddleware):  # type: ignore[misc]  # it has no types
    """Middleware that counts requests by view, method and status, and times the views."""

    def label_metric(
        self, metric: Any, request: HttpRequest, response: Any = None, **labels: Any
    ) -> Any:
        """Return the metric with its labels; all nonstandard HTTP methods share one value."""
        if "method" in labels:
            labels["method"] = self._method(request)
        return super().label_metric(metric, request, response, **labels)

    def process_request(self, request: HttpRequest) -> None:
        """Count the request; without a valid Content-Length its time is not measured."""
        with suppress(ValueError, OverflowError):
            super().process_request(request)

"""django-prometheus' counts of requests, with what a caller may write kept out of the labels.

It takes the method as it was sent for a label, of which there could be any number, and fails on a
Content-Length that is no number; a request must not.
"""

from contextlib import suppress
from typing import Any

from django.http import HttpRequest
from django_prometheus.middleware import PrometheusAfterMiddleware


class RequestCounts(PrometheusAfterMiddleware):  # type: ignore[misc]  # it has no types
    """Counts requests by view, method and status, and how long the view took."""

    def label_metric(
        self, metric: Any, request: HttpRequest, response: Any = None, **labels: Any
    ) -> Any:
        """Return the metric with its labels; a method that HTTP does not have is one value."""
        if "method" in labels:
            labels["method"] = self._method(request)
        return super().label_metric(metric, request, response, **labels)

    def process_request(self, request: HttpRequest) -> None:
        """Count what arrives; without a readable length its time is not measured."""
        with suppress(ValueError, OverflowError):
            super().process_request(request)

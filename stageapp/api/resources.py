"""Map paths to API resources, for reading access logs."""

from django.urls import Resolver404, resolve

from stageapp.api.endpoint import Endpoint
from stageapp.api.fallbacks import no_such_resource

NO_RESOURCE = "no_such_resource"


def resource_of(path: str) -> str | None:
    """Return the name under which this path's callers are recorded; None outside the API."""
    try:
        view = resolve(path).func
    except Resolver404:
        return None
    resource = getattr(view, "view_class", None)
    if isinstance(resource, type) and issubclass(resource, Endpoint):
        return resource.resource()
    return NO_RESOURCE if view is no_such_resource else None

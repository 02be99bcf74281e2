"""Which resource of the API answers at a path: what an access log's lines are read by."""

from django.urls import Resolver404, resolve

from stageapp.api.endpoint import Endpoint
from stageapp.api.fallbacks import no_such_resource

NO_RESOURCE = "no_such_resource"


def resource_of(path: str) -> str | None:
    """Return the name under which callers of this path are noted, None for a path that is not
    the API's.
    """
    try:
        view = resolve(path).func
    except Resolver404:
        return None
    resource = getattr(view, "view_class", None)
    if isinstance(resource, type) and issubclass(resource, Endpoint):
        return resource.resource()
    return NO_RESOURCE if view is no_such_resource else None

"""The URL configuration."""

from django.contrib import admin
from django.urls import include, path

admin.autodiscover()  # not at Django's own start: see StageAdminConfig

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("stageapp.api.urls")),
]

handler400 = "stageapp.api.fallbacks.bad_request"
handler404 = "stageapp.api.fallbacks.not_found"
handler500 = "stageapp.api.fallbacks.server_error"

"""The operators' screens, one file each. Importing the package registers them."""

from stageapp.admin import (
    audit,
    consumers,
    modes,
    plans,
    portfolio,
    runs,
    traffic,
    vocabulary,
    vocabulary_versions,
)

__all__ = [
    "audit",
    "consumers",
    "modes",
    "plans",
    "portfolio",
    "runs",
    "traffic",
    "vocabulary",
    "vocabulary_versions",
]

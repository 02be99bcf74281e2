"""The operators' screens, one file each. Importing the package registers them."""

from stageapp.admin import (
    audit,
    consumers,
    deliveries,
    drift,
    modes,
    plans,
    portfolio,
    proposals,
    rollout,
    runs,
    sightings,
    traffic,
    unknowns,
    vocabulary,
    vocabulary_versions,
)

__all__ = [
    "audit",
    "consumers",
    "deliveries",
    "drift",
    "modes",
    "plans",
    "portfolio",
    "proposals",
    "rollout",
    "runs",
    "sightings",
    "traffic",
    "unknowns",
    "vocabulary",
    "vocabulary_versions",
]

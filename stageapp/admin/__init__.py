"""The operators' screens, one file each. Importing the package registers them."""

from stageapp.admin import (
    audit,
    consumers,
    drift,
    modes,
    plans,
    portfolio,
    proposals,
    rollout,
    runs,
    seals,
    sightings,
    traffic,
    unknowns,
    vocabulary,
    vocabulary_versions,
)

__all__ = [
    "audit",
    "consumers",
    "drift",
    "modes",
    "plans",
    "portfolio",
    "proposals",
    "rollout",
    "runs",
    "seals",
    "sightings",
    "traffic",
    "unknowns",
    "vocabulary",
    "vocabulary_versions",
]

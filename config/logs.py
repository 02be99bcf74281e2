"""Logging configuration: one JSON document per line, for our events and for libraries."""

import sys
from typing import Any

import structlog

_LINE = structlog.processors.JSONRenderer(ensure_ascii=True)  # one line, whatever the values hold
_FIELDS: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,  # the request or the task it belongs to
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure(level: str) -> dict[str, Any]:
    """Set our log level and return Django's LOGGING, which gives libraries the same format."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        processors=[*_FIELDS, _LINE],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    # What libraries log has the same form; their text is the `event`, their name `logger`.
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": [*_FIELDS, structlog.stdlib.add_logger_name],
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.format_exc_info,
                    _LINE,
                ],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        # A forged Host header is told as a warning by django.request already; here it would bring a
        # traceback.
        "loggers": {"django.security.DisallowedHost": {"level": "CRITICAL"}},
        "root": {"handlers": ["stderr"], "level": level},
    }

"""Template filters: figures worded as in the commands, and texts cut to fit."""

from django import template
from django.template.defaultfilters import stringfilter
from django.utils.text import Truncator

from stageapp.infrastructure import words

EXCERPTS = {"cell": 120, "card": 160, "note": 200, "paragraph": 300}  # characters, by place

register = template.Library()
register.filter("duration", words.duration)
register.filter("percentage", words.percent)
register.filter("short_hash", words.short_hash)


@register.filter(is_safe=True)
@stringfilter
def excerpt(text: str, place: str) -> str:
    """Truncate a text to the room at its place on a page."""
    return Truncator(text).chars(EXCERPTS[place])

"""Figures in templates, in the words that the commands use too."""

from django import template

from stageapp.infrastructure import words

register = template.Library()
register.filter("duration", words.duration)
register.filter("percentage", words.percent)

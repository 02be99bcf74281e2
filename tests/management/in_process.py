"""`manage.py normalization` called in the test's own process."""

import io
import json

from django.core.management import call_command


def call(*arguments):
    """Run the command in this process; return what it printed."""
    out = io.StringIO()
    call_command("normalization", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def call_json(*arguments):
    return json.loads(call(*arguments, "--json"))

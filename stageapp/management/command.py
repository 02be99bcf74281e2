"""What the project's commands have in common."""

from django.core.management.base import BaseCommand


class StageCommand(BaseCommand):
    """A command that checks its settings before it starts.

    The addresses, templates and screens that Django would load to check them too are nothing to a command, and
    cost as much time as all else of its start; `manage.py check` still looks at everything.
    """

    requires_system_checks = ("stageapp",)

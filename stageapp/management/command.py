"""What the project's commands have in common."""

from django.core.management.base import BaseCommand

from stageapp import fast_copy


class StageCommand(BaseCommand):
    """A command that checks its settings before it starts.

    The addresses, templates and screens that Django would load to check them too are nothing to a command, and
    cost as much time as all else of its start; `manage.py check` still looks at everything.
    """

    requires_system_checks = ("stageapp",)

    def warn_of_lag(self) -> None:
        """Say on stderr, after a change that processes follow, if Redis cannot tell them of it."""
        if lag := fast_copy.lag_warning():
            self.stderr.write(lag)

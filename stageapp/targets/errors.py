"""Errors of plans, runs and seals; every text says what to do."""


class NormalizationError(Exception):
    """A rejected request; nothing has changed."""


class Ambiguous(NormalizationError):
    """Several runs or targets match: the command was used incorrectly."""


class TargetError(NormalizationError):
    """The column cannot be normalized, or is not configured."""


class PlanNotFound(NormalizationError):
    """No plan has this hash."""


class PlanRefused(NormalizationError):
    """The plan is too old, or was made with another vocabulary version."""


class IllegalMove(NormalizationError):
    """The run's state does not allow this."""


class RunBusy(NormalizationError):
    """Another run of the target is unfinished, or another worker has this run."""


class BackupNeeded(NormalizationError):
    """A run on a real target needs a verified backup and a rehearsed restore first."""


class TooManyQuarantined(NormalizationError):
    """The database rejects more rows than allowed; the run stops."""


class SecondApproverNeeded(NormalizationError):
    """The two-person rule is on, and the plan's author cannot approve it."""


class SealRefused(NormalizationError):
    """The target cannot be sealed, unsealed or guarded in its current state."""


class ThrottleRefused(NormalizationError):
    """A limit is invalid, or no reason is given."""


class PreflightRefused(NormalizationError):
    """Something in the database would make the run fail, or make it change what it must not."""

"""What a plan or a run refuses; every text says what to do."""


class NormalizationError(Exception):
    """A request that is refused; nothing has changed."""


class Ambiguous(NormalizationError):
    """Several runs or targets could be meant: the command was used wrongly."""


class TargetError(NormalizationError):
    """The column cannot be normalized, or is not configured."""


class PlanNotFound(NormalizationError):
    """No plan bears this hash."""


class PlanRefused(NormalizationError):
    """The plan is too old, or made with another vocabulary version."""


class IllegalMove(NormalizationError):
    """The run's state does not allow this."""


class RunBusy(NormalizationError):
    """Another run of the target is unfinished, or another worker holds this run."""


class BackupNeeded(NormalizationError):
    """A run on a real target needs a verified backup and a rehearsed restore first."""


class TooManyQuarantined(NormalizationError):
    """More rows than may be are refused by the database; the run stops."""


class SecondApproverNeeded(NormalizationError):
    """The two-person rule is on, and whoever made the plan cannot approve it."""


class SealRefused(NormalizationError):
    """The target cannot be sealed, unsealed or guarded so now."""


class ThrottleRefused(NormalizationError):
    """A limit makes no sense, or no reason is given."""


class PreflightRefused(NormalizationError):
    """Something in the database would make the run fail, or change what it must not."""

"""The gates that ask what people and runs have done: runs, audit of consumers, backup, rehearsal."""

import datetime

from stageapp import words
from stageapp.backups.verify import CLOCKS_DIFFER
from stageapp.gates.measurements import Measurements, RunFact
from stageapp.gates.verdicts import Condition, Gate, Verdict, passes_if
from stageapp.thresholds import GateThresholds

_NO_BACKUP = "no backup is verified: `manage.py backup create`, then `manage.py backup verify`"
_NO_REHEARSAL = "no restore was rehearsed: `manage.py backup rehearse`"
_SCHEMA_CHANGED = "the schema has changed since the last rehearsal: `manage.py backup rehearse` a new backup"

_REHEARSAL_FAILED = "the newest rehearsal failed; find out why (`manage.py backup list`), and rehearse again"


def run_complete(found: Measurements, wanted: GateThresholds) -> Gate:
    """Judge whether the newest run of every target is done and verified."""
    conditions = tuple(_run(run) for run in found.runs)
    none = Condition("targets", "one or more", 0, Verdict.NO_DATA, "STAGE_TARGETS names no column")
    return Gate("run_complete", "The stored rows are normalized and verified", conditions or (none,))


def _run(run: RunFact) -> Condition:
    threshold = "done and verified"
    if run.number is None:
        return Condition(run.target, threshold, None, Verdict.NO_DATA, "no run has begun; plan one")
    verified = "verified" if run.verified else "not verified"
    good = run.state == "done" and run.verified
    return Condition(run.target, threshold, f"{run.state}, {verified}", passes_if(good), f"run {run.number}")


def consumers_audited(found: Measurements, wanted: GateThresholds) -> Gate:
    """Judge whether a person has lately put their name to an audit of who still sends what."""
    threshold = f"at most {wanted.audit_days:g} days ago"
    evidence = {"still_send_unknown": list(found.still_unknown)}
    if found.audit is None:
        condition = Condition(
            "audit", threshold, None, Verdict.NO_DATA, "nobody has recorded an audit of the consumers"
        )
    else:
        days = (found.now - found.audit.at) / datetime.timedelta(days=1)
        why = f"by {found.audit.actor} on {found.audit.at:%F %H:%M} UTC"
        good = days <= wanted.audit_days
        condition = Condition("audit", threshold, days, passes_if(good), why, unit="days")
    return Gate("consumers_audited", "The consumers are audited", (condition,), evidence)


def verified_backup(found: Measurements, wanted: GateThresholds) -> Gate:
    """Judge whether there is a verified backup whose data is new enough."""
    threshold = f"verified, of at most {words.duration(3600 * wanted.backup_hours)} ago"
    at = found.backup.taken_at if found.backup else None
    return Gate("verified_backup", "There is a verified backup", (_age("backup", threshold, at, found, wanted),))


def rehearsal(found: Measurements, wanted: GateThresholds) -> Gate:
    """Judge whether the restore of a backup was rehearsed with success since the last change of the schema."""
    threshold, at = "passed since the last change of the schema", found.backup.rehearsed_at if found.backup else None
    if found.backup and found.backup.rehearsal_failed:
        condition = Condition("rehearsal", threshold, "failed", Verdict.FAIL, _REHEARSAL_FAILED)
    elif at is not None:
        when = f"{at:%F %H:%M} UTC, {words.age(at, found.now)} ago"
        condition = Condition("rehearsal", threshold, when, Verdict.PASS)
    elif found.backup and found.backup.schema_changed:
        condition = Condition("rehearsal", threshold, "schema changed", Verdict.FAIL, _SCHEMA_CHANGED)
    else:
        condition = Condition("rehearsal", threshold, None, Verdict.NO_DATA, _NO_REHEARSAL)
    return Gate("rehearsal", "The restore was rehearsed", (condition,))


def _age(
    name: str, threshold: str, at: datetime.datetime | None, found: Measurements, wanted: GateThresholds
) -> Condition:
    if at is None:
        return Condition(name, threshold, None, Verdict.NO_DATA, _NO_BACKUP)
    hours = (found.now - at) / datetime.timedelta(hours=1)
    if found.now - at < -CLOCKS_DIFFER:
        why = "its data is from the future: a clock was set wrong"
        return Condition(name, threshold, hours, Verdict.FAIL, why, unit="hours")
    good = hours <= wanted.backup_hours
    return Condition(name, threshold, hours, passes_if(good), f"of {at:%F %H:%M} UTC", unit="hours")

"""The readiness gates: completed runs, consumer audit, backup and rehearsal."""

import datetime

from stageapp import conf
from stageapp.backups.verify import CLOCKS_DIFFER
from stageapp.conf import GateThresholds
from stageapp.infrastructure import words
from stageapp.rollout.gates.measures import Measurements
from stageapp.rollout.gates.verdicts import Condition, Gate, Verdict, passes_if

_NO_BACKUP = "no backup is verified: `manage.py backup create`, then `manage.py backup verify`"
_NO_REHEARSAL = "no restore was rehearsed: `manage.py backup rehearse`"
_SCHEMA_CHANGED = (
    "the schema has changed since the last rehearsal: `manage.py backup rehearse` a new backup"
)

_REHEARSAL_FAILED = (
    "the newest rehearsal failed; find out why (`manage.py backup list`), and rehearse again"
)


def run_complete(measured: Measurements, wanted: GateThresholds) -> Gate:
    """Judge whether every target is proved to be normalized, as its rows are now."""
    look = words.duration(conf.drift_look_seconds())
    threshold = f"done, verified since the last change, and no drift in the last {look}"
    conditions = []
    for proof in measured.proofs:
        value = "stands" if proof.stands else "does not stand"
        conditions.append(
            Condition(proof.target, threshold, None, Verdict.NO_DATA, proof.sentence)
            if proof.missing
            else Condition(proof.target, threshold, value, passes_if(proof.stands), proof.sentence)
        )
    evidence = {
        "proofs": [
            {
                "target": proof.target,
                "run": proof.run and proof.run.pk,
                "stands": proof.stands,
                "reasons": [doubt.text for doubt in proof.doubts],
                "evidence": proof.evidence,
            }
            for proof in measured.proofs
        ]
    }
    none = Condition("targets", "one or more", 0, Verdict.NO_DATA, "STAGE_TARGETS lists no column")
    return Gate(
        "run_complete",
        "The stored rows are normalized and verified",
        tuple(conditions) or (none,),
        evidence,
    )


def consumers_audited(measured: Measurements, wanted: GateThresholds) -> Gate:
    """Judge whether someone has recently signed off an audit of who still sends what."""
    threshold = f"at most {wanted.audit_days:g} days ago"
    evidence = {"still_send_unknown": list(measured.still_unknown)}
    if measured.audit is None:
        condition = Condition(
            "audit",
            threshold,
            None,
            Verdict.NO_DATA,
            "nobody has recorded an audit of the consumers",
        )
    else:
        days = (measured.now - measured.audit.at) / datetime.timedelta(days=1)
        why = f"by {measured.audit.actor} on {measured.audit.at:%F %H:%M} UTC"
        good = days <= wanted.audit_days
        condition = Condition("audit", threshold, days, passes_if(good), why, unit="days")
    return Gate("consumers_audited", "The consumers are audited", (condition,), evidence)


def verified_backup(measured: Measurements, wanted: GateThresholds) -> Gate:
    """Judge whether a verified backup has recent enough data."""
    threshold = f"verified, at most {words.duration(3600 * wanted.backup_hours)} old"
    at = measured.backup.taken_at if measured.backup else None
    if at is None:
        condition = Condition("backup", threshold, None, Verdict.NO_DATA, _NO_BACKUP)
    else:
        age = measured.now - at
        hours, why = age / datetime.timedelta(hours=1), f"from {at:%F %H:%M} UTC"
        verdict = passes_if(hours <= wanted.backup_hours)
        if age < -CLOCKS_DIFFER:
            verdict, why = Verdict.FAIL, "its data is from the future: a clock is wrong"
        condition = Condition("backup", threshold, hours, verdict, why, unit="hours")
    return Gate("verified_backup", "There is a verified backup", (condition,))


def rehearsal(measured: Measurements, wanted: GateThresholds) -> Gate:
    """Judge whether a restore was rehearsed successfully since the last schema change."""
    threshold, at = (
        "passed since the last schema change",
        measured.backup.rehearsed_at if measured.backup else None,
    )
    if measured.backup and measured.backup.rehearsal_failed:
        condition = Condition("rehearsal", threshold, "failed", Verdict.FAIL, _REHEARSAL_FAILED)
    elif at is not None:
        when = f"{at:%F %H:%M} UTC, {words.age(at, measured.now)} ago"
        condition = Condition("rehearsal", threshold, when, Verdict.PASS)
    elif measured.backup and measured.backup.schema_changed:
        condition = Condition(
            "rehearsal", threshold, "schema changed", Verdict.FAIL, _SCHEMA_CHANGED
        )
    else:
        condition = Condition("rehearsal", threshold, None, Verdict.NO_DATA, _NO_REHEARSAL)
    return Gate("rehearsal", "The restore was rehearsed", (condition,))

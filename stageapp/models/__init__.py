"""The tables of the product, one file a subject."""

from stageapp.models.backups import Backup, BackupCheck, BackupJob
from stageapp.models.batches import AuditEntry, Batch, Checkpoint, NormalizationLog, QuarantinedRow
from stageapp.models.consumers import Consumer, ConsumerContact, ConsumerSighting
from stageapp.models.finance import AssumptionChange
from stageapp.models.limits import RunThrottle, ThrottledTime, ThrottleLook
from stageapp.models.mode import ModeChange, ServerProcess
from stageapp.models.normalization import Plan, PlanEntry, RollbackPlan, Run, RunMove, WorkerDrain
from stageapp.models.permissions import Operation, RoleGrant
from stageapp.models.portfolio import Fund, PortfolioCompany, Strategy
from stageapp.models.proofs import TargetWrite, Verification, VerificationJob
from stageapp.models.rollout import (
    ConsumerAudit,
    ConsumerPin,
    ModeProposal,
    PlannedStep,
    WarnPeriod,
)
from stageapp.models.sealing import GuardChange, GuardConversion, GuardCount, Seal
from stageapp.models.traffic import TrafficHour, TrafficWindow
from stageapp.models.unknowns import DriftCheck, UnknownCount, UnknownEntry
from stageapp.models.vocabulary import (
    FoldingCharacter,
    FoldingRange,
    Stage,
    StageAlias,
    TextRule,
    TextWord,
    VocabularyVersion,
)
from stageapp.models.webhook import WebhookCount, WebhookDelivery

__all__ = [
    "AssumptionChange",
    "AuditEntry",
    "Backup",
    "BackupCheck",
    "BackupJob",
    "Batch",
    "Checkpoint",
    "Consumer",
    "ConsumerAudit",
    "ConsumerContact",
    "ConsumerPin",
    "ConsumerSighting",
    "DriftCheck",
    "FoldingCharacter",
    "FoldingRange",
    "Fund",
    "GuardChange",
    "GuardConversion",
    "GuardCount",
    "ModeChange",
    "ModeProposal",
    "NormalizationLog",
    "Operation",
    "Plan",
    "PlanEntry",
    "PlannedStep",
    "PortfolioCompany",
    "QuarantinedRow",
    "RoleGrant",
    "RollbackPlan",
    "Run",
    "RunMove",
    "RunThrottle",
    "Seal",
    "ServerProcess",
    "Stage",
    "StageAlias",
    "Strategy",
    "TargetWrite",
    "TextRule",
    "TextWord",
    "ThrottleLook",
    "ThrottledTime",
    "TrafficHour",
    "TrafficWindow",
    "UnknownCount",
    "UnknownEntry",
    "Verification",
    "VerificationJob",
    "VocabularyVersion",
    "WarnPeriod",
    "WebhookCount",
    "WebhookDelivery",
    "WorkerDrain",
]

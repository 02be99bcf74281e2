"""The controlled vocabulary: stages, aliases and their versions, and the text rules for keys."""

from django.core.validators import RegexValidator
from django.db import models

from stageapp.models.recorded import HAS_A_REASON, Recorded

REASONS = {
    "unmapped": "no alias maps it",
    "blank": "empty, or a placeholder for no value",
    "ambiguous": "it could mean more than one stage",
    "between_stages": "it lies between two stages",
    "multiple_stages": "it names more than one stage",
    "not_a_stage": (
        "a kind of financing, not a stage (debt, grant, note, crowdfunding, secondary …)"
    ),
    "exit_status": "the company has left private funding (acquired, post-IPO …)",
    "junk": "not readable as a stage",
}
REASON_CHOICES = [(reason, f"{reason}: {meaning}") for reason, meaning in REASONS.items()]


class Stage(models.Model):
    """A canonical value."""

    slug = models.CharField(
        max_length=40,
        unique=True,
        validators=[RegexValidator(r"^[a-z][a-z0-9_]*\Z", "a-z, 0-9 and _ only")],
    )
    label = models.CharField(max_length=60)
    rank = models.PositiveSmallIntegerField(
        unique=True, help_text="order from the earliest stage to the latest"
    )
    active = models.BooleanField(default=True)

    class Meta:
        ordering = ["rank"]

    def __str__(self) -> str:
        return self.label


class StageAlias(models.Model):
    """A raw spelling that means exactly one stage, or is declared unknown for a reason.

    `key` is the spelling as reduced by the text rules. An alias without a `source` holds everywhere.
    """

    spelling = models.TextField()
    key = models.CharField(max_length=256)
    source = models.CharField(max_length=200, blank=True, default="")
    stage = models.ForeignKey(
        Stage,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        to_field="id",
        related_name="aliases",
    )
    reason = models.CharField(max_length=20, blank=True, default="", choices=REASON_CHOICES)
    comment = models.TextField(blank=True, default="")

    class Meta:
        verbose_name_plural = "stage aliases"
        ordering = ["key", "source"]
        constraints = [
            models.UniqueConstraint(
                fields=["source", "key"], name="one_meaning_per_source_and_key"
            ),
            models.CheckConstraint(
                condition=models.Q(stage__isnull=False, reason="")
                | (models.Q(stage__isnull=True) & ~models.Q(reason="")),
                name="alias_names_a_stage_or_a_reason",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.spelling} → {self.stage.slug if self.stage else self.reason}"


class VocabularyVersion(Recorded):
    """One state of all stages and aliases, and what changed since the one before. Append-only."""

    number = models.BigAutoField(primary_key=True)
    diff = models.JSONField(default=dict)
    snapshot = models.JSONField(default=dict)

    class Meta:
        ordering = ["-number"]
        constraints = [HAS_A_REASON]

    def __str__(self) -> str:
        return f"vocabulary version {self.number}"


class FoldingCharacter(models.Model):
    """What a character of the shipped table folds to: no character, one or more."""

    codepoint = models.IntegerField(primary_key=True)
    replacement = models.CharField(max_length=20, blank=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"U+{self.codepoint:04X} → {self.replacement!r}"


class FoldingRange(models.Model):
    """Neighbouring characters that all fold to themselves (`=`), or all to the same."""

    first = models.IntegerField(primary_key=True)
    last = models.IntegerField()
    replacement = models.TextField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"U+{self.first:04X}–U+{self.last:04X}"


class TextWord(models.Model):
    """A shipped word or phrase of another language, and the English that the rules read instead."""

    phrase = models.CharField(primary_key=True, max_length=100)
    english = models.CharField(max_length=100)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.phrase}: {self.english}"


class TextRule(models.Model):
    """A shipped text rule: `kind` is `rewrite` (pattern → text) or `verdict` (pattern → reason)."""

    position = models.IntegerField(primary_key=True)
    kind = models.CharField(max_length=10)
    pattern = models.TextField()
    outcome = models.TextField(blank=True)

    class Meta:
        default_permissions = ()
        ordering = ["position"]

    def __str__(self) -> str:
        return f"{self.kind} {self.position}"

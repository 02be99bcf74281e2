"""The product's permissions and the roles that group them."""

from django.db import models

PERMISSIONS = {
    "change_mode": "Can change the validation mode",
    "rearm": "Can raise the mode again after an automatic downgrade",
    "override_gate": "Can move past a failing gate, with a written reason",
    "plan_run": "Can make a plan",
    "approve_run": "Can approve a plan",
    "operate_run": "Can start, pause, resume and cancel a run",
    "rollback_run": "Can roll a run back",
    "seal_target": "Can seal and unseal a target",
    "curate_vocabulary": "Can change stages and aliases",
    "manage_backups": "Can create, verify and rehearse backups",
    "manage_consumers": "Can create and revoke consumers",
}

# Operators do the daily work; approvers decide where a rule is set aside or a second person has to
# agree. Both change the mode: otherwise nobody could approve a change of it, or rearm.
# `migrate` gives each permission once; a person may take it away again.
ROLES = {
    "Stage operators": ["change_mode", "plan_run", "operate_run", "rollback_run", "manage_backups"],
    "Stage approvers": ["change_mode", "rearm", "override_gate", "approve_run", "seal_target"],
    "Vocabulary curators": ["curate_vocabulary"],
    "Consumer managers": ["manage_consumers"],
    "Stage viewers": [],
}


class Operation(models.Model):
    """Carries the product's permissions; it has no table."""

    class Meta:
        managed = False
        default_permissions = ()
        permissions = list(PERMISSIONS.items())

    def __str__(self) -> str:
        return "operation"


class RoleGrant(models.Model):
    """A permission that a role was given: once, so that a person can take it away. Append-only."""

    role = models.CharField(max_length=150)
    codename = models.CharField(max_length=100)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        default_permissions = ("view",)
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["role", "codename"], name="one_role_grant")]

    def __str__(self) -> str:
        return f"{self.role}: {self.codename}"

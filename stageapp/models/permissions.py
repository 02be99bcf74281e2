"""The permissions of the product, and the roles that group them."""

from django.db import models

PERMISSIONS = {
    "change_mode": "Can change the validation mode",
    "rearm": "Can raise the mode again after an automatic downgrade",
    "override_gate": "Can move forward past a gate that fails, with a written reason",
    "plan_run": "Can make a plan",
    "approve_run": "Can approve a plan",
    "operate_run": "Can start, pause, resume and cancel a run",
    "rollback_run": "Can roll a run back",
    "seal_target": "Can seal and unseal a target",
    "curate_vocabulary": "Can change stages and aliases",
    "manage_backups": "Can create, verify and rehearse backups",
    "manage_consumers": "Can create and revoke consumers",
}

# Created after every migration. A role only ever gains here; a person may take a permission away again.
ROLES = {
    "Stage operators": ["change_mode", "plan_run", "operate_run", "rollback_run", "manage_backups"],
    "Stage approvers": ["approve_run", "rearm", "override_gate", "seal_target"],
    "Vocabulary curators": ["curate_vocabulary"],
    "Consumer managers": ["manage_consumers"],
    "Stage viewers": [],
}


class Operation(models.Model):
    """Carries the product's permissions; has no table."""

    class Meta:
        managed = False
        default_permissions = ()
        permissions = list(PERMISSIONS.items())

    def __str__(self) -> str:
        return "operation"

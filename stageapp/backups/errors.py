"""What backups refuse, or fail at; every text says what to do."""


class BackupError(Exception):
    """The request is refused, or has failed; nothing half-made counts as a backup."""


class NoSuchBackup(BackupError):
    """No backup bears this name, or the name leads out of the folder."""


class BadManifest(BackupError):
    """The manifest is damaged, not signed by us, or not the one of this backup."""


class BackupBusy(BackupError):
    """Another process makes, removes or rehearses a backup."""


class TargetRefused(BackupError):
    """The database is live, not empty, or not marked as disposable."""

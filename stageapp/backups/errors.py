"""The errors of backups; every text says what to do."""


class BackupError(Exception):
    """A request that was refused or failed; an incomplete backup never counts as one."""


class NoSuchBackup(BackupError):
    """No backup has this name, or the name points outside the folder."""


class BadManifest(BackupError):
    """The manifest is damaged, not signed by us, or belongs to another backup."""


class BackupBusy(BackupError):
    """Another process is creating, removing or rehearsing a backup."""


class TargetRefused(BackupError):
    """The database is live, not empty, or not marked as disposable."""

"""The fallback SECRET_KEY: on a developer's machine it is generated once and kept."""

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


def made_or_kept(folder: Path, *, debug: bool) -> str:
    """Return a random key that is stored in the folder on the first call.

    Raises:
        ImproperlyConfigured: DEBUG is off; a file next to the code is no place for a site's
            secret.
    """
    if not debug:
        raise ImproperlyConfigured("Set SECRET_KEY (50 random characters or more): DEBUG is off.")
    path = folder / "secret-key"
    try:
        folder.mkdir(exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text()
    with os.fdopen(handle, "w") as file:
        file.write(os.urandom(40).hex())
    return path.read_text()

"""How PostgreSQL's own library and programs are told where to connect: never on a command line."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import environ
import psycopg
from django.db import connection
from psycopg import pq

from stageapp.backups.errors import BackupError

Parameters = dict[str, str]

_NAMES = {"HOST": "host", "PORT": "port", "USER": "user", "PASSWORD": "password", "NAME": "dbname"}
_OPTIONS = {option.keyword.decode(): option for option in pq.Conninfo.get_defaults()}
# A dump or a restore may take longer than any limit that was set for requests.
_NO_LIMITS = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET lock_timeout = 0"


@contextmanager
def told_plainly(what_holds: str) -> Iterator[None]:
    """Tell of a server that does not answer, or refuses, as a BackupError that ends with what holds now."""
    try:
        yield
    except psycopg.Error as error:
        raise BackupError(f"PostgreSQL does not answer, or refuses: {error}. {what_holds}") from None


def live() -> Parameters:
    """Return the parameters of the database that this process works with."""
    return of_settings(connection.settings_dict)


def of_settings(settings: Mapping[str, Any]) -> Parameters:
    """Return libpq's parameters for an entry of DATABASES; Django's own options are left out."""
    given = {word: settings.get(name) for name, word in _NAMES.items()}
    options = {word: value for word, value in settings.get("OPTIONS", {}).items() if word in _OPTIONS}
    return {word: str(value) for word, value in (given | options).items() if value not in (None, "")}


def of_url(url: str) -> Parameters:
    """Return libpq's parameters for a URL; what is none would lead libpq to whatever server is nearest.

    Raises:
        BackupError: it is no URL of a PostgreSQL database.
    """
    try:
        if not url.startswith(("postgres://", "postgresql://")):
            raise ValueError("it does not begin with postgres://")
        settings = environ.Env.db_url_config(url)
        if not settings["NAME"]:
            raise ValueError("it does not end with the name of a database")
    except ValueError as error:
        raise BackupError(f"This is no URL of a PostgreSQL database: {error}.") from None
    return of_settings(settings)


def environment(parameters: Parameters) -> dict[str, str]:
    """Return the same as environment variables (PGHOST, PGPASSWORD, …), for the programs."""
    named = {word: option.envvar for word, option in _OPTIONS.items() if option.envvar}
    return {named[word].decode(): value for word, value in parameters.items() if word in named}


def connect(parameters: Parameters) -> psycopg.Connection[tuple[Any, ...]]:
    """Open a session of our own, in autocommit and without time limits.

    Raises:
        psycopg.OperationalError: the server does not answer, or refuses us.
    """
    try:
        session = psycopg.connect(autocommit=True, **parameters)  # type: ignore[arg-type]
    except KeyboardInterrupt as interrupt:
        # Its traceback keeps the half-open session, which the server waits for up to a minute before a database can
        # be dropped. Without it the session is closed here.
        raise interrupt.with_traceback(None) from None
    session.execute(_NO_LIMITS)
    return session

"""The complete examination, in the order in which to fix what is broken."""

from collections.abc import Callable, Iterator

from django.db import DatabaseError, ProgrammingError, connection

from stageapp.doctor import questions
from stageapp.doctor.answers import Answer, Health, fail, no_data
from stageapp.infrastructure import words

Examination = Callable[[], Iterator[Answer]]

WITH_POSTGRESQL: dict[str, Examination] = {
    "migrations": questions.migrated,
    "function": questions.function_there,
    "parity": questions.parity,
    "clock": questions.clock,
    "throttle": questions.throttle,
    "processes": questions.registry,
    "backup": questions.backup,
    "targets": questions.targets,
}
WITHOUT: dict[str, Examination] = {
    "redis": questions.redis_answers,
    "broker": questions.broker_answers,
    "worker (by broker)": questions.worker_answers,
    "disk": questions.disk,
    "webhook secret": questions.webhook_secret,
}


def examine() -> list[Answer]:
    """Return every answer; a failed check does not stop the others."""
    answers = _ask("postgresql", questions.reachable)
    if answers[0].health != Health.FAIL:
        answers += [answer for name, ask in WITH_POSTGRESQL.items() for answer in _ask(name, ask)]
    else:
        answers += [no_data(name, "PostgreSQL does not answer") for name in WITH_POSTGRESQL]
    return answers + [answer for name, ask in WITHOUT.items() for answer in _ask(name, ask)]


def _ask(name: str, ask: Examination) -> list[Answer]:
    """Return a check's answers; if it fails, those before the error and the error itself."""
    answers: list[Answer] = []
    try:
        answers += ask()
    except DatabaseError as error:
        connection.close()  # a broken session must not spoil the next examination
        what = words.first_line(error) or type(error).__name__
        answers.append(
            fail(
                name,
                f"PostgreSQL could not answer this: {what}",
                "run `manage.py migrate`"
                if isinstance(error, ProgrammingError)
                else "start it, or correct DATABASE_URL",
            )
        )
    except (OSError, ValueError) as error:  # a file or a setting
        answers.append(fail(name, str(error) or type(error).__name__, "correct it"))
    return answers

"""Look at the server's databases, and at what is left behind."""

from stageapp.backups import disposable, postgres
from tests.normalization.evidence import sql


def rehearsal_databases():
    """Return the names of databases for rehearsals of the test database."""
    rows = sql(
        "SELECT datname, shobj_description(oid, 'pg_database') FROM pg_database WHERE datname "
        "LIKE 'stage_rehearsal_%%'"
    )
    ours = sql("SELECT current_database()")[0][0]
    return [name for name, comment in rows if comment and comment.endswith(f"/{ours}")]


def drop(*names):
    """Drop databases as the product does: an autovacuum worker in one is no obstacle."""
    for name in names:
        with postgres.connect(postgres.live()) as session:
            disposable._drop(session, name)


def live_fingerprint():
    """Return one md5 of what stands in the live companies and modes."""
    return sql(
        "SELECT md5(coalesce(string_agg(t, '|' ORDER BY t), '')) FROM (SELECT (c.*)::text AS t "
        "FROM stageapp_portfoliocompany c UNION ALL SELECT (m.*)::text FROM stageapp_modechange "
        "m) AS x"
    )[0][0]

"""What operators see of runs and of the audit log through the API."""

import pytest
from django.contrib.auth.models import Permission, User

from stageapp.models import Batch, Fund, NormalizationLog, PortfolioCompany, Run
from stageapp.normalization import drain, leases, limits, runs, worker
from stageapp.normalization.plan import make_plan
from tests.api.openapi.conformance import check

TARGET = "stageapp.PortfolioCompany.stage"
ONE, ENTRIES = "/api/runs/{id}", "/api/runs/{id}/entries"
ROW = "/api/rows/{target}/{key}/history"


@pytest.fixture
def companies(db, settings):
    settings.STAGE_BATCH_PAUSE_SECONDS = 0
    fund = Fund.objects.create(name="Fund I")
    return [
        PortfolioCompany.objects.create(fund=fund, name=stage, stage=stage)
        for stage in ("seed", "Seed", "Series-A ")
    ]


@pytest.fixture
def run(companies):
    return runs.start(make_plan(TARGET, actor="ann").run, actor="ann", reason="go")


@pytest.fixture
def ops(client_of, consumer_named):
    return client_of(consumer_named("ops", "ops"))


def history(key, target=TARGET):
    return f"/api/rows/{target}/{key}/history"


def addresses(run):
    """Return (path, path in the document, permission) of each."""
    return [
        ("/api/runs", "/api/runs", "view_run"),
        (f"/api/runs/{run.pk}", ONE, "view_run"),
        (f"/api/runs/{run.pk}/entries", ENTRIES, "view_auditentry"),
        (history(1), ROW, "view_auditentry"),
    ]


def test_each_is_answered_as_the_document_tells_before_during_and_after_a_run(run, companies, ops):
    lease = leases.take(run, "forward")
    for path, told, _ in addresses(run):
        check(ops.get(path), told, "get")
    leases.release(lease)
    worker.advance(run)
    worker.advance(runs.request_rollback(run, actor="ann", reason="back"))
    for path, told, _ in addresses(run):
        for query in ("", "?after=1-1", "?before=1", "?after=x", "?after=1-1&after=2-1", "?page=1"):
            check(ops.get(path + query), told, "get")
    check(ops.get(history(companies[1].pk)), ROW, "get")
    for path, told in (
        ("/api/runs/999999", ONE),
        ("/api/runs/999999/entries", ENTRIES),
        (history(1, "x"), ROW),
    ):
        answer = ops.get(path)
        assert answer.status_code == 404
        check(answer, told, "get")


def test_a_token_needs_the_scope_ops(run, client_of, consumer, client):
    for path, told, _ in addresses(run):
        answer = client_of(consumer).get(path)
        assert answer.status_code == 403
        check(answer, told, "get")
    del client.defaults["HTTP_AUTHORIZATION"]
    assert {client.get(path).status_code for path, *_ in addresses(run)} == {401}


def test_a_session_needs_the_permission_of_the_screen(run, client):
    staff = User.objects.create_user("sam", is_staff=True)
    client.force_login(staff)
    for path, _, permission in addresses(run):
        staff.user_permissions.clear()
        assert client.get(path).status_code == 403
        staff.user_permissions.set(Permission.objects.filter(codename=permission))
        assert client.get(path).status_code == 200


def test_a_user_who_is_not_staff_sees_nothing_with_every_permission(run, client):
    user = User.objects.create_user("ursula")
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="stageapp"))
    client.force_login(user)
    assert {client.get(path).status_code for path, *_ in addresses(run)} == {403}


def test_nothing_can_be_written_there(run, ops):
    for path, *_ in addresses(run):
        for method in ("post", "put", "patch", "delete"):
            assert getattr(ops, method)(path).status_code == 405


def test_a_run_tells_how_far_it_is_who_works_where_and_what_holds_it(run, ops):
    lease = leases.take(run, "forward")
    limits.add_seconds(run, "replica_lag", 2.5)
    drain.switch(draining=True, actor="ann", reason="upgrade")
    Run.objects.update(last_error="disk full")
    found = ops.get(f"/api/runs/{run.pk}").json()
    assert (found["state"], found["last_error"], found["workers_draining"]) == (
        "running",
        "disk full",
        True,
    )
    assert found["progress"]["workers"] == [leases.name()]
    assert [shard["worker"] for shard in found["shards"]] == [leases.name()]
    assert found["throttle"]["seconds_by_reason"]["replica_lag"] == 2.5
    leases.release(lease)
    drain.switch(draining=False, actor="ann", reason="upgraded")
    worker.advance(Run.objects.get())
    found = ops.get(f"/api/runs/{run.pk}").json()
    assert (found["state"], found["verification"]["ok"], found["progress"]["percent"]) == (
        "done",
        True,
        100,
    )
    assert (found["progress"]["rows"], found["progress"]["changed"]) == (3, 2)
    assert found["shards"][0]["worker"] is None


def test_a_row_tells_what_happened_to_it_and_what_undid_it(run, companies, ops):
    worker.advance(run)
    worker.advance(runs.request_rollback(run, actor="ann", reason="back", scope={"value": "Seed"}))
    forward, back = ops.get(history(companies[1].pk)).json()["results"]
    assert (forward["old"], forward["new"], forward["direction"]) == ("Seed", "seed", "forward")
    assert (back["old"], back["new"], back["direction"]) == ("seed", "Seed", "rollback")
    assert forward["undone_by"] == {"batch": back["batch"], "at": back["at"]}
    assert back["undone_by"] is None
    (other,) = ops.get(history(companies[2].pk)).json()["results"]
    assert (other["row"], other["old"], other["undone_by"]) == (
        str(companies[2].pk),
        "Series-A ",
        None,
    )


@pytest.mark.parametrize(
    "key", ["0", "x", "9" * 40, "-1", "%00", "a%20b", "٣", "00000000-0000-0000-0000-000000000000"]
)
def test_a_key_that_no_entry_has_has_no_history(run, ops, key):
    assert ops.get(history(key)).json() == {"next": None, "results": []}


def test_entries_come_in_pages_without_a_gap(run, ops):
    for number, size in enumerate((150, 1, 99, 60), start=1):
        batch = Batch.objects.create(
            run=run,
            direction="forward",
            number=number,
            last_key="1",
            scanned=1,
            changed=size,
            seconds=0.1,
        )
        keys = list(range(number * 1000, number * 1000 + size))
        NormalizationLog.objects.create(batch=batch, keys=keys, old="Seed", new="seed")
    path, seen, sizes = f"/api/runs/{run.pk}/entries", [], []
    while path:
        page = ops.get(path).json()
        seen += [int(entry["row"]) for entry in page["results"]]
        sizes.append(len(page["results"]))
        path = page["next"]
    assert sizes == [100, 100, 100, 10]
    assert seen == sorted(seen)
    assert len(set(seen)) == 310


def test_each_asks_the_database_a_bounded_number_of_things(
    run, companies, ops, django_assert_max_num_queries
):
    worker.advance(run)
    for path in (
        "/api/runs",
        f"/api/runs/{run.pk}",
        f"/api/runs/{run.pk}/entries",
        history(companies[1].pk),
    ):
        ops.get(path)
        with django_assert_max_num_queries(30):
            assert ops.get(path).status_code == 200

"""The layer rule: a file imports only from rows above its own or from its own row, without a cycle."""

import ast
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]

# Row by row from the top. A name that ends in / is a folder with all that is in it.
LAYERS = {
    "0 raw material": [
        "config/__init__.py", "config/content_types.py", "config/deadlines.py", "config/embedded/", "config/formats/",
        "config/headers.py", "config/request_counts.py", "config/request_ids.py", "config/logs.py",
        "config/secret_key.py", "config/webhook_keys.py",
        "stageapp/__init__.py",
        "stageapp/conf.py", "stageapp/delimited.py", "stageapp/durations.py", "stageapp/events.py",
        "stageapp/metrics.py",
        "stageapp/metrics_archive.py", "stageapp/metrics_folder.py", "stageapp/network.py", "stageapp/ops_access.py",
        "stageapp/redis_clients.py", "stageapp/refresher.py", "stageapp/sampling.py", "stageapp/spreadsheet.py",
        "stageapp/sql/", "stageapp/text/", "stageapp/thresholds.py", "stageapp/token_buckets.py",
        "stageapp/watchdog.py",
    ],
    "1 facts": ["stageapp/models/", "stageapp/migrations/"],
    "2 meaning": [
        "stageapp/alias_rules.py", "stageapp/fast_copy.py", "stageapp/modes.py", "stageapp/suggestions.py",
        "stageapp/mode_history.py", "stageapp/people.py", "stageapp/processes.py", "stageapp/traffic.py",
        "stageapp/traffic_history.py",
        "stageapp/vocabulary.py",
    ],
    "3 decisions": [
        "stageapp/alias_files.py", "stageapp/backups/", "stageapp/consumer_audit/", "stageapp/consumers.py",
        "stageapp/contacts.py", "stageapp/doctor/", "stageapp/drift.py",
        "stageapp/finance/", "stageapp/gates/", "stageapp/gauges/", "stageapp/imports.py",
        "stageapp/vocabulary_versions.py",
        "stageapp/normalization/", "stageapp/roles.py", "stageapp/rollout/", "stageapp/sightings.py",
        "stageapp/unknowns/", "stageapp/validation.py", "stageapp/webhook/",
    ],
    "4 edges": [
        "stageapp/admin/", "stageapp/api/", "stageapp/demo/", "stageapp/management/", "stageapp/relay/",
        "stageapp/task_records.py", "stageapp/tasks.py", "stageapp/worker_metrics.py", "stageapp/workers.py",
    ],
    "5 wiring": [
        "manage.py", "config/asgi.py", "config/celery.py", "config/gunicorn.py", "config/serving.py",
        "config/settings.py", "config/urls.py", "config/wsgi.py", "stageapp/apps.py", "stageapp/checks.py",
    ],
}  # fmt: skip

# Here an import inside a function is right: models exist only after Django has loaded, settings after the servers.
LATE_IMPORTS = {
    "stageapp/apps.py": {"ready"}, "manage.py": {"main"}, "config/gunicorn.py": {"post_worker_init", "child_exit"},
}  # fmt: skip


def source_files() -> list[str]:
    files = [path for folder in ("stageapp", "config") for path in (PROJECT / folder).rglob("*.py")]
    return sorted(str(path.relative_to(PROJECT)) for path in [*files, PROJECT / "manage.py"])


def rows_of(file: str) -> list[str]:
    return [
        row
        for row, places in LAYERS.items()
        if any(file == place or (place.endswith("/") and file.startswith(place)) for place in places)
    ]


def file_of(module: str) -> str | None:
    """Return the project's file that a dotted name stands for, None for a library or a name in a module."""
    path = module.replace(".", "/")
    return next((f for f in (f"{path}.py", f"{path}/__init__.py") if (PROJECT / f).is_file()), None)


def imported_files(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module:
        names = [inner if file_of(inner := f"{node.module}.{alias.name}") else node.module for alias in node.names]
    else:
        return set()
    return {file for name in names if (file := file_of(name))}


def imports_of(file: str) -> set[str]:
    tree = ast.parse((PROJECT / file).read_text(encoding="utf-8"))
    return {imported for node in ast.walk(tree) for imported in imported_files(node)}


def late_imports(file: str) -> Iterator[tuple[str, int]]:
    tree = ast.parse((PROJECT / file).read_text(encoding="utf-8"))
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    yield function.name, node.lineno


def cycle_in(graph: dict[str, set[str]]) -> list[str]:
    """Return one cycle as the path that closes it, empty if there is none."""
    finished: set[str] = set()

    def visit(file: str, path: list[str]) -> list[str]:
        if file in path:
            return [*path[path.index(file) :], file]
        if file not in finished:
            for imported in sorted(graph[file]):
                if found := visit(imported, [*path, file]):
                    return found
            finished.add(file)
        return []

    return next((found for file in graph if (found := visit(file, []))), [])


def test_every_file_stands_in_exactly_one_row():
    wrong = {file: rows for file in source_files() if len(rows := rows_of(file)) != 1}
    assert not wrong, f"Add each of these to one row of LAYERS in tests/test_layers.py: {wrong}"


def test_a_file_imports_only_from_its_own_row_or_rows_above():
    wrong = [
        f"{file} ({rows}) imports {imported} ({rows_of(imported)})"
        for file in source_files()
        for imported in sorted(imports_of(file))
        if rows_of(imported) > (rows := rows_of(file))  # a row's name begins with its number
    ]
    assert not wrong, wrong


def test_imports_make_no_cycle():
    assert cycle_in({file: imports_of(file) - {file} for file in source_files()}) == []


def test_nothing_is_imported_inside_a_function_but_what_must_wait_for_django():
    wrong = [
        f"{file}:{line} in {function}()"
        for file in source_files()
        for function, line in late_imports(file)
        if function not in LATE_IMPORTS.get(file, set())
    ]
    assert not wrong, f"Import these at the top of the file: {wrong}"


def test_the_product_imports_nothing_of_its_tests():
    assert not [file for file in source_files() if any(name.startswith("tests/") for name in imports_of(file))]


def test_these_checks_see_what_they_look_for():
    assert cycle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert rows_of("stageapp/new_part.py") == []
    assert "stageapp/conf.py" in imports_of("stageapp/modes.py")
    assert "stageapp/models/modes.py" in imports_of("stageapp/modes.py")
    assert list(late_imports("stageapp/apps.py"))

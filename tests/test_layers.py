"""The layer rule: a folder imports only from layers below it, and nothing imports itself."""

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest
from importlinter.cli import lint_imports

PROJECT = Path(__file__).resolve().parents[1]

# Here an import inside a function is right: models exist only after Django has loaded, settings
# after the servers have started.
LATE_IMPORTS = {
    "stageapp/apps.py": {"ready"},
    "manage.py": {"main"},
    "config/gunicorn.py": {"post_worker_init", "child_exit"},
}


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("stageapp", "config", cache_dir=None)


def late_imports(file: Path) -> Iterator[tuple[str, int]]:
    """Yield the function and line of every import inside a function."""
    for function in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    yield function.name, node.lineno


def test_layers_hold(capsys):
    """The layers stand in pyproject.toml, under tool.importlinter."""
    failed = lint_imports(str(PROJECT / "pyproject.toml"), no_cache=True)
    assert not failed, capsys.readouterr().out


def test_imports_make_no_circle(graph):
    imports = {
        module: {
            found for found in graph.find_modules_directly_imported_by(module) if found != module
        }
        for module in graph.modules
    }
    list(graphlib.TopologicalSorter(imports).static_order())  # raises CycleError, with the circle


def test_the_product_imports_nothing_of_its_tests(graph):
    assert not [module for module in graph.modules if module.partition(".")[0] == "tests"]


def test_nothing_is_imported_inside_a_function_but_what_must_wait_for_django():
    files = [file for folder in ("stageapp", "config") for file in (PROJECT / folder).rglob("*.py")]
    wrong = [
        f"{name}:{line} in {function}()"
        for file in [*files, PROJECT / "manage.py"]
        for function, line in late_imports(file)
        if function not in LATE_IMPORTS.get(name := str(file.relative_to(PROJECT)), set())
    ]
    assert not wrong, f"Import these at the top of the file: {wrong}"

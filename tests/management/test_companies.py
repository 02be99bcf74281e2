"""`manage.py companies import`: what a person types and gets."""

import json
import os
import sys
from types import SimpleNamespace

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from stageapp.management.commands import companies
from stageapp.models.portfolio import Fund, PortfolioCompany

pytestmark = pytest.mark.django_db
CONTENT = "id;company;stage\n1;Ada;Séries B\n2;Bob;Seed\n"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "Spring list.csv"
    path.write_text(CONTENT)
    return path


def run(*arguments: object) -> None:
    call_command("companies", "import", *map(str, arguments))


def test_it_says_what_was_imported_and_what_comes_next(file, capsys):
    run(file, "--stage-column", "stage", "--name-column", "company")
    output = capsys.readouterr()
    assert (
        "2 companies with 2 spellings of a stage imported into the new fund Spring list"
        in output.out
    )
    assert output.out.endswith("Next: manage.py normalization plan\n")
    assert "100%" in output.err
    assert list(PortfolioCompany.objects.values_list("name", "stage")) == [
        ("Ada", "Séries B"),
        ("Bob", "Seed"),
    ]


def test_json_is_one_document_and_nothing_else(file, capsys):
    run(file, "--stage-column", "stage", "--json", "--fund", "Alpha")
    output = capsys.readouterr()
    fund = Fund.objects.get()
    assert json.loads(output.out) == {
        "imported": 2,
        "stages": 2,
        "fund": "Alpha",
        "fund_id": fund.pk,
        "fund_created": True,
        "delimiter": ";",
    }
    assert output.err == ""


def test_a_fund_that_is_there_is_said_to_be_there(file, capsys):
    Fund.objects.create(name="Alpha")
    run(file, "--stage-column", "stage", "--fund", "Alpha")
    assert "the existing fund Alpha" in capsys.readouterr().out


def test_a_dash_reads_standard_input(monkeypatch):
    receive, send = os.pipe()
    os.write(send, CONTENT.encode())
    os.close(send)
    with open(receive, "rb") as pipe:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=pipe))
        run("-", "--stage-column", "stage", "--json")
    assert Fund.objects.get().name == "Standard input"
    assert PortfolioCompany.objects.count() == 2


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_another_encoding_may_be_named(file, encoding):
    file.write_text(CONTENT, encoding=encoding)
    run(file, "--stage-column", "stage", "--encoding", encoding, "--json")
    assert PortfolioCompany.objects.filter(stage="Séries B").exists()


@pytest.mark.parametrize("delimiter", [";", "tab", "\\t"])
def test_another_delimiter_may_be_named(file, delimiter):
    file.write_text(CONTENT.replace(";", delimiter if len(delimiter) == 1 else "\t"))
    run(file, "--stage-column", "stage", "--delimiter", delimiter, "--json")
    assert PortfolioCompany.objects.count() == 2


def refused(capsys, *arguments: object) -> str:
    with pytest.raises(CommandError) as error:
        run(*arguments)
    assert error.value.returncode == 1
    assert not Fund.objects.exists()
    return str(error.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path, capsys):
    missing, folder = tmp_path / "none.csv", tmp_path
    assert "none.csv cannot be read: No such file" in refused(
        capsys, missing, "--stage-column", "stage"
    )
    assert "cannot be read: Is a directory" in refused(capsys, folder, "--stage-column", "stage")


@pytest.mark.parametrize(
    "content, text", [("", "is empty"), ("stage\n", "no rows"), ("a,b\n1,2\n", "'a', 'b'")]
)
def test_a_file_without_what_is_needed_is_refused(file, content, text, capsys):
    file.write_text(content)
    assert text in refused(capsys, file, "--stage-column", "stage")


def test_bad_rows_are_listed_for_people_and_for_programs(file, capsys):
    file.write_text(CONTENT + "3\n")
    assert "line 4: 1 columns" in refused(capsys, file, "--stage-column", "stage", "--json")
    found = json.loads(capsys.readouterr().out)
    assert found == {
        "imported": 0,
        "bad_rows": 1,
        "first_bad_rows": [{"line": 4, "fault": "1 columns, the header has 3"}],
    }


def test_a_database_that_does_not_answer_is_said(file, monkeypatch, capsys):
    def away(*_args, **_options):
        raise OperationalError("connection refused")

    monkeypatch.setattr(companies, "import_companies", away)
    assert "PostgreSQL does not answer" in refused(capsys, file, "--stage-column", "stage")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["x.csv"],
        ["--stage-column", "stage"],
        ["x.csv", "--stage-column", "s", "--delimiter", "ab"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments):
    with pytest.raises(SystemExit) as end:
        companies.Command().run_from_argv(["manage.py", "companies", "import", *arguments])
    assert end.value.code == 2

"""An import stores every row as it is written, or none."""

import io

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stageapp.models.portfolio import Fund, PortfolioCompany
from stageapp.portfolio.imports import (
    MAX_CELL,
    SHOWN_FAULTS,
    BadRows,
    ImportRefused,
    import_companies,
)

pytestmark = pytest.mark.django_db


def import_bytes(content: bytes, **more):
    options = {"fund": "Alpha", "stage_column": "stage", "name_column": "name"} | more
    return import_companies(io.BytesIO(content), **options)


def stored() -> list[tuple[str, str]]:
    return list(PortfolioCompany.objects.order_by("id").values_list("name", "stage"))


def test_rows_become_companies_of_the_fund():
    done = import_bytes(b"id,name,stage\n1,Ada,Seed\n2,Bob,Seed\n3,Cid,series-a \n")
    assert (done.rows, done.stages, done.fund_created, done.delimiter) == (3, 2, True, ",")
    assert stored() == [("Ada", "Seed"), ("Bob", "Seed"), ("Cid", "series-a ")]
    assert Fund.objects.get().companies.count() == 3


def test_stages_are_stored_byte_for_byte():
    stages = [
        " Seed ",
        "S\u00e9rie\u00a0A",
        "Se\u0301rie A",
        "\t",
        "",
        "back\\slash \\N \\.",
        'a "b"',
        "シード\u200b",
        "x\r\ny",
    ]
    lines = ['"' + stage.replace('"', '""') + '"' for stage in stages]
    import_bytes(("name,stage\n" + "\n".join(f"n,{line}" for line in lines)).encode())
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT convert_to(stage, 'UTF8') FROM stageapp_portfoliocompany ORDER BY id"
        )
        assert [bytes(row[0]).decode() for row in cursor.fetchall()] == stages


TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), max_size=20)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30
)
@given(st.lists(TEXT, min_size=1, max_size=10))
def test_any_text_comes_back_as_it_was(stages):
    PortfolioCompany.objects.all().delete()
    quoted = "".join('n,"' + stage.replace('"', '""') + '"\n' for stage in stages)
    done = import_bytes(f"name,stage\n{quoted}".encode())
    assert [stage for _, stage in stored()] == stages
    assert done.stages == len(set(stages))


def test_without_a_name_column_the_line_makes_the_name():
    import_bytes(b"stage\nSeed\n\nSeries A\n", name_column=None)
    assert stored() == [("Row at line 2", "Seed"), ("Row at line 4", "Series A")]


def test_a_blank_name_is_made_from_the_line():
    import_bytes(b"name,stage\n  ,Seed\n")
    assert stored() == [("Row at line 2", "Seed")]


def test_a_fund_that_is_there_gets_the_companies():
    fund = Fund.objects.create(name="Alpha")
    PortfolioCompany.objects.create(fund=fund, name="Old", stage="Angel")
    done = import_bytes(b"name,stage\nAda,Seed\n")
    assert (done.fund, done.fund_created, done.stages) == (fund, False, 1)
    assert fund.companies.count() == 2


@pytest.mark.parametrize("fund", ["", "  ", "x" * 201, "a\x00b"])
def test_a_fund_without_a_usable_name_is_refused(fund):
    with pytest.raises(ImportRefused, match="--fund"):
        import_bytes(b"name,stage\nAda,Seed\n", fund=fund)


def test_bad_rows_are_named_and_nothing_stays():
    content = b"name,stage\nAda,Seed\nBob\nCid,S\xe9rie A\nDan,Seed\n"
    with pytest.raises(BadRows) as refused:
        import_bytes(content)
    assert (refused.value.faults.count, refused.value.rows) == (2, 4)
    assert [line for line, _ in refused.value.faults.first] == [3, 4]
    assert "2 of 4 rows" in str(refused.value)
    assert "line 4: bytes that cannot be decoded" in str(refused.value)
    assert (stored(), Fund.objects.count()) == ([], 0)


def test_all_bad_rows_are_counted_and_the_first_are_shown():
    with pytest.raises(BadRows) as refused:
        import_bytes(b"name,stage\nAda,Seed\n" + b"x\n" * 5000)
    assert refused.value.faults.count == 5000
    assert len(refused.value.faults.first) == SHOWN_FAULTS
    assert "… and 4,980 more" in str(refused.value)


@pytest.mark.parametrize("column", ["name", "stage"])
def test_an_absurdly_long_cell_is_a_bad_row(column):
    row = {"name": "Ada", "stage": "Seed"} | {column: "x" * (MAX_CELL + 1)}
    with pytest.raises(BadRows, match="line 2: a cell of 10,001 characters"):
        import_bytes(f"name,stage\n{row['name']},{row['stage']}\n".encode())


def test_a_long_cell_in_a_column_that_is_not_imported_does_not_matter():
    import_bytes(b"name,stage,note\nAda,Seed," + b"x" * 20_000 + b"\n")
    assert stored() == [("Ada", "Seed")]


def test_a_missing_column_names_the_columns_that_were_found():
    with pytest.raises(ImportRefused, match=r"no column 'stage'\. Columns found: 'Name', 'Stage'"):
        import_bytes(b"Name,Stage\nAda,Seed\n", name_column="Name")
    with pytest.raises(ImportRefused, match="no column 'name'"):
        import_bytes(b"Name,stage\nAda,Seed\n")


def test_a_column_that_is_there_twice_is_refused():
    with pytest.raises(ImportRefused, match="2 columns are named 'stage'"):
        import_bytes(b"stage,name,stage\nSeed,Ada,Seed\n")


def test_a_header_without_rows_is_refused_and_makes_no_fund():
    with pytest.raises(ImportRefused, match="no rows"):
        import_bytes(b"name,stage\n")
    assert not Fund.objects.exists()


def test_the_report_tells_the_bytes_read_up_to_the_end():
    content = b"name,stage\n" + b"Ada,Seed\n" * 3000
    told: list[int] = []
    import_bytes(content, report=told.append)
    assert told == sorted(told)
    assert len(told) == 4
    assert told[-1] == len(content)

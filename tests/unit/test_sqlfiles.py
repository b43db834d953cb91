"""Migrations are text; their statements are sent one by one."""

from conveyor.store.sqlfiles import statements


def test_a_statement_ends_at_a_semicolon_at_a_lines_end() -> None:
    assert statements("SELECT 1;\n-- no; statement;\nSELECT ';',\n  2;\n\nSELECT 3") == [
        "SELECT 1",
        "SELECT ';',\n  2",
        "SELECT 3",
    ]


def test_a_body_between_dollars_is_part_of_its_statement() -> None:
    body = "CREATE FUNCTION f() AS $$\nBEGIN\n    x := 1;\n    RETURN;\nEND\n$$"
    assert statements(f"{body};\nDO $$ BEGIN END; $$;\nSELECT 1;\n") == [body, "DO $$ BEGIN END; $$", "SELECT 1"]

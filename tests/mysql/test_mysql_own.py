"""Statements of the user's own travel in a packet with ours: one statement each, with values in their places."""

from __future__ import annotations

from typing import Any

import pytest

from orderway.sql.dialects.mysql.link import MysqlLink
from orderway.sql.dialects.mysql.own import own_text
from orderway.sql.steps import Own, OwnRead, Read, Refused, Write


@pytest.mark.parametrize(
    ("sql", "parameters", "text"),
    [
        ("SELECT :a", {"a": 1}, "SELECT 1"),
        ("SELECT :a, :b, :a", {"a": "x", "b": None, "unused": 1}, "SELECT 'x', NULL, 'x'"),
        ("SELECT ':a', \":a\", `:a`, :a", {"a": 1}, "SELECT ':a', \":a\", `:a`, 1"),
        ("SELECT 'it''s :a', 'it\\'s :a', :a", {"a": 1}, "SELECT 'it''s :a', 'it\\'s :a', 1"),
        ("SELECT :a -- :b\n, :a # :b\n, /* :b */ :a", {"a": 1}, "SELECT 1 -- :b\n, 1 # :b\n, /* :b */ 1"),
        ("SELECT @x := :a, 1--:a", {"a": 1}, "SELECT @x := 1, 1--1"),
        ("SELECT :a", {"a": ":a '%s"}, "SELECT ':a ''%s'"),
        ("SELECT %s, '%%'", ["x"], "SELECT 'x', '%'"),
        ("SELECT '%'", (), "SELECT '%'"),
        ("SELECT '%', ':a'", {}, "SELECT '%', ':a'"),
        ("SELECT 1; \n;", {}, "SELECT 1"),
        ("SELECT ';' /* ; */ -- ;\n", {}, "SELECT ';' /* ; */ --"),
    ],
)
def test_values_come_into_their_places(sql: str, parameters: Any, text: str) -> None:
    assert own_text(Own(sql, parameters)) == text + "\n"


@pytest.mark.parametrize(
    ("sql", "parameters", "words"),
    [
        ("DELETE FROM goods; COMMIT", (), "one statement"),
        ("DELETE FROM goods /*! ; COMMIT */", (), "one statement"),
        ("DELETE FROM goods /*M!100000 ; COMMIT */", (), "one statement"),
        ("DELETE FROM goods WHERE id = 'a", (), "does not end"),
        ("DELETE FROM goods /* oh", (), "does not end"),
        ("DELETE FROM goods WHERE id = :id", {}, ":id"),
        ("DELETE FROM goods WHERE id = %s", [1, 2], "places"),
        ("DELETE FROM goods WHERE id = %s OR id = %s", [1], "places"),
        ("CREATE TABLE more (id INT)", (), "CREATE would commit"),
        ("/* hi */ truncate goods", (), "TRUNCATE would commit"),
        ("SET sql_mode = ''", (), "SET would commit, or change"),
        ("DELETE FROM bads", (), "bads"),
        ("DELEET", (), "syntax"),
        ("", (), "empty"),
        ("INSERT INTO goods VALUES (1, '')", (), "Duplicate"),
        ("INSERT INTO goods VALUES (-1, '')", (), "(CONSTRAINT|constraint) .* (failed|is violated)"),
        ("INSERT INTO goods VALUES (2, :note)", {"note": "four"}, "Data too long"),
        ("INSERT INTO goods VALUES (2, :note)", {"note": object()}, "type object"),
    ],
)
async def test_what_is_refused_leaves_the_transaction_open(
    link: MysqlLink, sql: str, parameters: Any, words: str
) -> None:
    await _make_goods(link)
    await link.send([Write("UPDATE goods SET note = 'new'"), Write("SAVEPOINT own")], begin=True)
    with pytest.raises(Refused, match=words):
        await link.send([Own(sql, parameters)])
    await link.send([Write("ROLLBACK TO SAVEPOINT own")], commit=True)
    assert await link.send([Read("SELECT id, note FROM goods")]) == [(1, "new")]


async def test_a_row_that_is_as_it_should_be_counts(link: MysqlLink) -> None:
    await _make_goods(link)
    for _ in range(2):
        assert await link.send([Own("UPDATE goods SET note = :note WHERE id = 1 -- it", {"note": "a"})]) == 1
    assert await link.send([Own("UPDATE goods SET note = 'b' WHERE id = 2", {})]) == 0
    assert await link.send([OwnRead("SELECT id, note FROM goods WHERE id = %s", [1])]) == [(1, "a")]
    assert await link.send([OwnRead("DELETE FROM goods", ())]) == []


async def test_a_procedure_may_give_several_results(link: MysqlLink) -> None:
    await link.script("CREATE PROCEDURE give() BEGIN SELECT 1; SELECT 2; END")
    assert await link.send([OwnRead("CALL give()", ())]) == [(1,)]
    assert await link.send([Read("SELECT 3")]) == [(3,)]


async def _make_goods(link: MysqlLink) -> None:
    await link.script(
        "CREATE TABLE goods (id INT PRIMARY KEY CHECK (id > 0), note VARCHAR(3) NOT NULL) ENGINE=InnoDB;"
        "INSERT INTO goods VALUES (1, '')"
    )

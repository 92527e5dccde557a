"""Hostile and odd SQLite files, each made for real, with what an honest migration must end in."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """One file. `exit_code` is what `run --yes` must end with; `named` must appear in the report's objects, rejects or findings."""

    name: str
    build: Callable[[sqlite3.Connection], None]
    exit_code: int = 0
    named: tuple[str, ...] = ()
    encoding: str = "UTF-8"


CASES: list[Case] = []


def case(
    exit_code: int = 0, named: tuple[str, ...] = (), encoding: str = "UTF-8"
) -> Callable[[Callable[[sqlite3.Connection], None]], None]:
    def register(build: Callable[[sqlite3.Connection], None]) -> None:
        CASES.append(Case(build.__name__, build, exit_code, named, encoding))

    return register


def make(item: Case, path: Path) -> Path:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"pragma encoding='{item.encoding}'")
    item.build(connection)
    connection.close()
    return path


def bulk(c: sqlite3.Connection, statement: str, rows: list[tuple[object, ...]]) -> None:
    c.execute("begin")
    c.executemany(statement, rows)
    c.execute("commit")


@case()
def misfit_late_in_the_table(c: sqlite3.Connection) -> None:
    c.execute("create table t(id integer primary key, n integer, d numeric)")
    bulk(c, "insert into t values(?,?,?)", [(i, i, i / 100) for i in range(1, 70_001)])
    c.execute("insert into t values(70001,'12 apples','not a number')")


@case()
def numeric_32_38(c: sqlite3.Connection) -> None:
    c.execute("create table t(id integer primary key, a numeric, b decimal(10,2), c numeric(5))")
    bulk(
        c,
        "insert into t values(?,?,?,?)",
        [(1, 32.38, 32.38, 7), (2, 1.005, 99999999.99, 12345), (3, -0.5, 0, None), (4, 1e300, 1e15, 2.5)],
    )


@case()
def milliseconds_and_core_data(c: sqlite3.Connection) -> None:
    c.execute("create table t(id integer primary key, ms datetime, core timestamp, webkit integer, jd real)")
    bulk(
        c,
        "insert into t values(?,?,?,?,?)",
        [(i, 1_700_000_000_000 + i, 7e8 + i / 8, 13_300_000_000_000_000 + i, 2_460_000.5 + i / 7) for i in range(500)],
    )


@case()
def dates_of_every_sort(c: sqlite3.Connection) -> None:
    c.execute("create table t(id integer primary key, a datetime, b date, c timestamp, d datetime)")
    odd = [
        "2024-01-31 23:59:59",
        "2024-02-30 00:00:00",
        "2024-01-01 24:00:00",
        "0000-00-00 00:00:00",
        "",
        "2024-01-01T00:00:00Z",
        "2024-01-01 00:00:00+05",
    ]
    bulk(c, "insert into t(a,b,c,d) values(?,?,?,?)", [(v, v[:10], v, v) for v in odd])
    bulk(
        c,
        "insert into t(a,b,c,d) values(?,?,?,?)",
        [
            ("2024-01-01 10:00:00", "2024-01-01", f"2024-01-01 10:00:00.{i:06}", f"2024-01-01T10:00:00.{i:03}")
            for i in range(300)
        ],
    )


@case()
def uniform_dates(c: sqlite3.Connection) -> None:
    c.execute("create table t(id integer primary key, a datetime, b date, c timestamp, d datetime)")
    bulk(
        c,
        "insert into t(a,b,c,d) values(?,?,?,?)",
        [
            ("1899-12-31 23:59:59", "0001-01-01", f"2024-01-01 10:00:00.{i:06}", f"9999-12-31T10:00:00.{i:03}")
            for i in range(900)
        ],
    )


@case()
def integers_at_the_edges(c: sqlite3.Connection) -> None:
    c.execute("create table t(id integer primary key, n int, s smallint)")
    bulk(
        c,
        "insert into t values(?,?,?)",
        [(-(2**63), 2**63 - 1, -1), (2**63 - 1, -(2**63), 2**40), (0, 3_000_000_000, 0), (1, 1e20, 9.9e18)],
    )


@case()
def floats(c: sqlite3.Connection) -> None:
    c.execute("create table t(id integer primary key, r real, u)")
    values = [
        0.1 + 0.2,
        -0.0,
        5e-324,
        1.7976931348623157e308,
        float("inf"),
        float("-inf"),
        1e15,
        123456789.123456789,
        None,
    ]
    bulk(c, "insert into t(r,u) values(?,?)", [(v, v) for v in values])


@case()
def empty_string_and_null(c: sqlite3.Connection) -> None:
    c.execute("create table t(a text, b text)")
    bulk(
        c,
        "insert into t values(?,?)",
        [("", None), (None, ""), ("NULL", "\\N"), ("\\.", '"'), (" ", "\t"), ("a\r\nb", "x,y")],
    )


@case(exit_code=5, named=("NUL", "t"))
def nul_and_bad_utf8(c: sqlite3.Connection) -> None:
    c.execute("create table t(id integer primary key, s text)")
    c.execute(
        "insert into t values(1,'fine'),(2,cast(x'61006200' as text)),(3,cast(x'c328' as text)),(4,cast(x'eda080' as text)),(5,'änd')"
    )


@case()
def untyped_columns(c: sqlite3.Connection) -> None:
    c.execute("create table t(a, b, c)")
    bulk(
        c,
        "insert into t values(?,?,?)",
        [(1, "1", b"1"), (1.0, "1.0", b""), (None, "", None), (2, "two", b"\x00\xff"), (10**15, 1e15, "1e15")],
    )


@case()
def mixed_collide(c: sqlite3.Connection) -> None:
    c.execute("create table t(id integer primary key, v)")
    bulk(c, "insert into t(v) values(?)", [(1,), ("1",), (1.5,), ("1.5",), (b"1",)])


@case()
def everything_empty(c: sqlite3.Connection) -> None:
    c.executescript("""create table a(id integer primary key autoincrement, b boolean default true, d datetime default current_timestamp);
      create table b(x decimal(10,2) default 1.5, y varchar(20) default 'it''s', z blob default x'00ff');
      insert into a default values; delete from a;""")


@case()
def generated_columns(c: sqlite3.Connection) -> None:
    c.execute(
        "create table t(id integer primary key, a int, b int generated always as (a*2) stored, c text generated always as ('v'||a) virtual, d as (a/2))"
    )
    bulk(c, "insert into t(a) values(?)", [(i,) for i in range(-5, 500)] + [(None,)])


@case()
def collations(c: sqlite3.Connection) -> None:
    c.execute("create table t(k text primary key collate nocase, r text collate rtrim, u text unique collate nocase)")
    bulk(c, "insert into t values(?,?,?)", [("A", "x ", "Ä"), ("b", "x", "ä"), ("Straße", "y", "STRASSE")])


@case()
def without_rowid(c: sqlite3.Connection) -> None:
    c.execute("create table t(a text, b integer, c blob, primary key(a, b desc)) without rowid")
    bulk(c, "insert into t values(?,?,?)", [(f"k{i % 100}", i, bytes([i % 256])) for i in range(3000)])


@case()
def null_keys(c: sqlite3.Connection) -> None:
    c.execute("create table t(k text primary key, v int)")
    bulk(c, "insert into t values(?,?)", [(None, 1), (None, 2), ("a", 3)])


@case()
def duplicate_rows_without_key(c: sqlite3.Connection) -> None:
    c.execute("create table t(a int, b real, c text)")
    bulk(c, "insert into t values(?,?,?)", [(i % 3, 0.5, "same") for i in range(1000)])


@case()
def shadowed_rowids(c: sqlite3.Connection) -> None:
    c.execute("create table t(rowid text, _rowid_ text, oid text)")
    c.execute("create table u(rowid text, x int)")
    bulk(c, "insert into t values(?,?,?)", [(f"r{i}", f"s{i}", f"o{i}") for i in range(700)])
    bulk(c, "insert into u values(?,?)", [(f"r{i}", i) for i in range(700)])


@case()
def names(c: sqlite3.Connection) -> None:
    c.executescript("""create table "table/with/slashes.csv"("a b" int, "select" text, "quo""te" text, "it's" text, "%s" text, "{x}" text, "xmin" int, "ctid" int);
      insert into "table/with/slashes.csv" values(1,'a','b','c','d','e',1,2);
      create table "Ünïcode 日本"("名前" text primary key); insert into "Ünïcode 日本" values('x');
      create table "UPPER"(Id integer primary key, ID2 int); create table "pg_catalog"(a int); create table "user"("order" int, "group" int);
      create table "[/oops]"("[@click=app.boom()]" text); insert into "[/oops]" values('[/bold]');
      create table "a"";drop table x;--"(a int); insert into "a"";drop table x;--" values(1);
      create table "  "(" " int); create table ";"("'" int);""")
    long = "n" * 70
    c.execute(f'create table "{long}a"("{long}x" int, "{long}y" int)')
    c.execute(f'create table "{long}b"(x int)')
    c.execute(f'insert into "{long}a" values(1,2)')
    c.execute(f'insert into "{long}b" values(3)')


@case()
def wide_639(c: sqlite3.Connection) -> None:
    c.execute(
        "create table t(id integer primary key, "
        + ",".join(f"c{i} {('int', 'text', 'real', 'datetime')[i % 4]}" for i in range(638))
        + ")"
    )
    row = [None] + [(i, f"t{i}", i / 3, "2024-01-01 00:00:00")[i % 4] for i in range(638)]
    bulk(c, f"insert into t values({','.join('?' * 639)})", [tuple(row)] * 120)


@case()
def orphans(c: sqlite3.Connection) -> None:
    c.executescript("""create table p(id integer primary key); create table q(id integer primary key, p_id int references p(id) on delete cascade);
      insert into p values(1),(2);""")
    bulk(c, "insert into q values(?,?)", [(i, 1 + i % 40) for i in range(1000)])


@case()
def foreign_keys_to_nowhere(c: sqlite3.Connection) -> None:
    c.executescript("""create table q(id integer primary key, a int references missing(id), b int references r(nokey));
      create table r(nokey int); insert into q values(1,2,3); insert into r values(3),(3);""")


@case()
def circular_keys(c: sqlite3.Connection) -> None:
    c.executescript("""create table a(id integer primary key, b_id int references b(id) deferrable initially deferred);
      create table b(id integer primary key, a_id int references a(id)); insert into a values(1,1); insert into b values(1,1);""")


@case()
def key_family_of_mixed_types(c: sqlite3.Connection) -> None:
    c.executescript("""create table p(code integer_or_text primary key); create table q(id integer primary key, code text references p(code), n int references p(code));
      insert into p values(1),('x2'),(3); insert into q values(1,'x2',1),(2,'1',3);""")


@case()
def full_text(c: sqlite3.Connection) -> None:
    c.executescript("""create virtual table f5 using fts5(title, body); insert into f5(rowid,title,body) values(7,'a','b'),(9,'it''s','日本');
      create virtual table f4 using fts4(title, body); insert into f4(docid,title,body) values(3,'x','y');
      create table docs(id integer primary key, body text); insert into docs values(1,'one'),(2,'two');
      create virtual table ext using fts5(body, content='docs', content_rowid='id'); insert into ext(ext) values('rebuild');
      create virtual table rt using rtree(id, minx, maxx); insert into rt values(1,0.5,1.5),(2,-3.0,4.25);""")


@case()
def triggers_and_views(c: sqlite3.Connection) -> None:
    c.executescript("""create table t(id integer primary key, v text, updated_at datetime); create table log(at datetime default current_timestamp, what text);
      create trigger touch after update on t begin update t set updated_at=current_timestamp where id=new.id; end;
      create trigger note after insert on t when new.v is not null begin insert into log(what) values('new '||new.v); end;
      create trigger odd before delete on t begin select raise(abort,'no') where old.v='keep'; end;
      create view v as select id, upper(v) as u from t where v like 'a%'; create view broken as select * from gone;
      insert into t values(1,'abc',null);""")


@case(encoding="UTF-16le")
def utf16(c: sqlite3.Connection) -> None:
    c.execute("create table t(k text primary key, v text, b blob, n numeric(10,2))")
    bulk(c, "insert into t values(?,?,?,?)", [(f"ключ{i}", "𝄞 music", b"\x00\x01", i / 4) for i in range(400)])


@case()
def booleans(c: sqlite3.Connection) -> None:
    c.execute("create table t(id integer primary key, good boolean, two bool, words boolean)")
    bulk(
        c,
        "insert into t(good,two,words) values(?,?,?)",
        [(i % 2, i % 3, "true" if i % 2 else "f") for i in range(100)] + [(None, None, None)],
    )


@case()
def json_values(c: sqlite3.Connection) -> None:
    c.execute("create table t(id integer primary key, j json, k jsonb)")
    bulk(
        c,
        "insert into t(j,k) values(?,?)",
        [('{"a":1, "a":2}', '{"b": 1e400}'), ("[]", '"\\u0000"'), ("not json", None)],
    )


@case()
def big_blobs(c: sqlite3.Connection) -> None:
    c.execute("create table t(id integer primary key, b blob, s text)")
    bulk(
        c,
        "insert into t(b,s) values(?,?)",
        [(bytes(20_000_000), "x"), (b"", ""), (b"\xff" * 5_000_000, "y" * 3_000_000)],
    )


@case()
def strict_tables(c: sqlite3.Connection) -> None:
    c.execute("create table t(id integer primary key, a any, b int, c real, d text, e blob) strict")
    bulk(
        c,
        "insert into t values(?,?,?,?,?,?)",
        [(1, "x", 2, 3.0, "four", b"5"), (2, 5, 2, 3, "", b""), (3, 5.5, None, None, None, None)],
    )


@case()
def strange_types(c: sqlite3.Connection) -> None:
    c.execute(
        'create table t(a floating point, b string, c varchar(3), d "weird(type, 3) stuff", e native character(70), f unsigned big int, g money, h double precision)'
    )
    bulk(
        c,
        "insert into t values(?,?,?,?,?,?,?,?)",
        [(1.5, "00123", "abcdef", "d", "e", 2**60, "12.50 €", 1 / 3), (2, "x", "", None, "", 0, 3, None)],
    )


@case()
def sequences(c: sqlite3.Connection) -> None:
    c.executescript("""create table a(id integer primary key autoincrement); insert into a values(500); delete from a;
      create table b(id integer primary key); insert into b values(-5),(9000000000);""")


@case()
def expression_indexes(c: sqlite3.Connection) -> None:
    c.executescript("""create table t(a text, b int, c datetime); create index i1 on t(lower(a)); create index i2 on t(b desc) where b > 5;
      create unique index i3 on t(a collate nocase); create index i4 on t(substr(a,1,3), b); create index i5 on t(strftime('%Y', c));
      insert into t values('Abc', 7, '2024-01-01 00:00:00');""")


@case()
def index_rows_too_large(c: sqlite3.Connection) -> None:
    import random

    c.executescript("create table t(a text, b text primary key); create index ia on t(a);")
    rng = random.Random(1)
    bulk(
        c,
        "insert into t values(?,?)",
        [("".join(chr(rng.randrange(33, 0x2FFF)) for _ in range(9000)), str(i)) for i in range(3)],
    )


@case()
def defaults(c: sqlite3.Connection) -> None:
    c.executescript("""create table t(id integer primary key, a text default "quoted", b text default 'null', c int default -1, d real default 1e3,
      e datetime default (strftime('%s','now')), f text default (lower(hex(randomblob(16)))), g date default current_date, h bool default false, i text default (datetime('now','localtime')));
      insert into t(id) values(1);""")


@case()
def no_tables_but_a_view(c: sqlite3.Connection) -> None:
    c.execute("create view v as select 1 as one")

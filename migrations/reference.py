"""The reference of the tables, written from the comments in a migrated database.

``python -m migrations.reference URL`` prints what is kept as ``docs/reference/tables.md``; the database
is one that was migrated with the option ``timescale``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

from migrations.connection import connect, type_of_connection
from migrations.ledger import BOOKKEEPING
from schemas.errors import TapeflowError

HEAD = """# Tables

Generated from the comments in the database by `python -m migrations.reference URL`; they are changed by
a new file in `migrations/sql/`. A `timestamptz` means UTC, and what was *written* when is told by the
clock of the database. Indexes are those of the option `timescale`; the option `postgres` adds a BRIN
index on `ts` to `candles_intraday`, `quotes_l1` and `options_metrics`.
"""

TABLES = """
    select c.oid, c.relname, obj_description(c.oid, 'pg_class')
    from pg_class c
    where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p')
      and c.relname <> all(%s)
      and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')
    order by c.relname
"""
COLUMNS = """
    select a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
           case when a.attidentity <> '' then 'identity'
                when a.attgenerated <> '' then 'always ' || pg_get_expr(d.adbin, d.adrelid)
                else pg_get_expr(d.adbin, d.adrelid) end,
           col_description(a.attrelid, a.attnum)
    from pg_attribute a
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = %s and a.attnum > 0 and not a.attisdropped
    order by a.attnum
"""
CONSTRAINTS = """
    select contype::text, pg_get_constraintdef(oid, true)
    from pg_constraint
    where conrelid = %s and contype in ('p', 'u', 'c', 'f')
    order by position(contype::text in 'pucf'), conname
"""
INDEXES = """
    select pg_get_indexdef(i.indexrelid, 0, true)
    from pg_index i
    join pg_class c on c.oid = i.indexrelid
    where i.indrelid = %s
      and not exists (select from pg_constraint k where k.conindid = i.indexrelid and k.contype in ('p', 'u'))
    order by c.relname
"""

SHORT_TYPES = {
    "timestamp with time zone": "timestamptz",
    "double precision": "float8",
    "bigint": "int8",
    "integer": "int4",
    "smallint": "int2",
    "boolean": "bool",
}


def _cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|")


def _code(text: str | None) -> str:
    return f"`{_cell(text)}`" if text else ""


def _index(definition: str) -> str:
    """Shorten ``CREATE INDEX name ON schema.table USING btree (...)`` to ``name (...)``."""
    match = re.match(r"CREATE (UNIQUE )?INDEX (\S+) ON \S+ USING (\w+) (.*)", definition)
    assert match is not None
    unique, name, method, rest = match.groups()
    kind = "" if method == "btree" else f" {method}"
    return f"{'Unique index' if unique else 'Index'}{kind}: `{name} {rest}`"


def _table(conn: type_of_connection, oid: int, name: str, comment: str | None) -> list[str]:
    lines = [f"## {name}", "", comment or "", ""]
    lines += ["| column | type | null | default | meaning |", "|---|---|---|---|---|"]
    for column, long, not_null, default, meaning in conn.execute(COLUMNS, (oid,)):
        null = "" if not_null else "yes"
        short = SHORT_TYPES.get(long, long)
        lines.append(f"| `{column}` | {short} | {null} | {_code(default)} | {_cell(meaning)} |")
    lines.append("")
    lines += [f"* `{definition}`" for _, definition in conn.execute(CONSTRAINTS, (oid,))]
    lines += [f"* {_index(definition)}" for (definition,) in conn.execute(INDEXES, (oid,))]
    lines.append("")
    return lines


def tables_markdown(url: str) -> str:
    """Return the reference of all tables in the database at `url`, as Markdown.

    Raises:
        ConfigInvalid: The URL is not valid.
        DependencyAway: The database cannot be reached.
    """
    lines = [HEAD]
    with connect(url) as conn:
        for oid, name, comment in conn.execute(TABLES, (list(BOOKKEEPING),)).fetchall():
            lines += _table(conn, oid, name, comment)
    return "\n".join(lines).rstrip("\n") + "\n"


def main(arguments: Sequence[str]) -> int:
    """Print the reference; the exit code is that of the error, if there was one."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m migrations.reference URL\n")
        return 2
    try:
        sys.stdout.write(tables_markdown(arguments[0]))
    except TapeflowError as exc:
        sys.stderr.write(f"{exc}\n")
        return exc.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

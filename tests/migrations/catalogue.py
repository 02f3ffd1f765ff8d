"""A database's schema as text, to be compared with another's."""

from __future__ import annotations

import psycopg

from migrations.ledger import BOOKKEEPING

OURS = """
    ours as (
        select c.* from pg_class c
        where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'S')
          and c.relname <> all(%(bookkeeping)s)
          and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e'))
"""
# a "not null" is a column's property here; newer servers list it as a constraint too, older ones do not
QUERIES = {
    "table": """
        select relname, relkind::text, reloptions, obj_description(oid, 'pg_class') from ours""",
    "column": """
        select o.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
               a.attstorage::text, a.attidentity::text, a.attgenerated::text,
               pg_get_expr(d.adbin, d.adrelid), col_description(a.attrelid, a.attnum)
        from ours o join pg_attribute a on a.attrelid = o.oid
        left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where a.attnum > 0 and not a.attisdropped and o.relkind <> 'S'""",
    "constraint": """
        select o.relname, k.conname, k.contype::text, pg_get_constraintdef(k.oid), k.convalidated
        from ours o join pg_constraint k on k.conrelid = o.oid where k.contype <> 'n'""",
    "index": """
        select o.relname, pg_get_indexdef(i.indexrelid), i.indisvalid
        from ours o join pg_index i on i.indrelid = o.oid""",
    "trigger": """
        select o.relname, pg_get_triggerdef(t.oid) from ours o join pg_trigger t on t.tgrelid = o.oid
        where not t.tgisinternal""",
    "function": """
        with ours as (select) select p.proname, pg_get_functiondef(p.oid) from pg_proc p
        where p.pronamespace = current_schema()::regnamespace and p.prokind in ('f', 'p')
          and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')""",
}
HYPERTABLES = """
    select hypertable_name, column_name, time_interval from timescaledb_information.dimensions
"""
HAS_TIMESCALE = "select exists (select from pg_extension where extname = 'timescaledb')"


def schema_of(url: str) -> list[str]:
    """Return one line for each thing in the schema, sorted."""
    lines: list[str] = []
    with psycopg.connect(url) as conn:
        for kind, query in QUERIES.items():
            sql = query if "with ours" in query else f"with {OURS} {query}"
            rows = conn.execute(sql, {"bookkeeping": list(BOOKKEEPING)})
            lines += [f"{kind} {row}" for row in rows]
        if conn.execute(HAS_TIMESCALE).fetchone() == (True,):
            lines += [f"hypertable {row}" for row in conn.execute(HYPERTABLES)]
    return sorted(lines)

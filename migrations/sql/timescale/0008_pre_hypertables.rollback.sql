-- A hypertable cannot be turned back in place: its rows are copied into a plain table of the same shape.
-- Needs room for a second copy of the largest table; privileges granted on the tables have to be granted again.

do $$
declare
    hypertable text;
    plain text;
begin
    foreach hypertable in array array['options_metrics', 'quotes_l1', 'candles_intraday'] loop
        plain := hypertable || '_plain';
        execute format('create table %I (like %I including all)', plain, hypertable);
        execute format('comment on table %I is %L', plain, obj_description(hypertable::regclass, 'pg_class'));
        execute format('insert into %I select * from %I', plain, hypertable);
        execute format('drop table %I', hypertable);
        execute format('alter table %I rename to %I', plain, hypertable);
        execute format('alter index %I rename to %I', plain || '_pkey', hypertable || '_pkey');
    end loop;
end
$$;

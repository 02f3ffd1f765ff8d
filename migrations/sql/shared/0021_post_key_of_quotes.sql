-- depends: 0020_pre_quote_stream
-- The new key takes the old one's place; writers wait while its index is made. Workers
-- of the release before said nothing of their symbols: those that are missing are added.

alter table quotes_l1 drop constraint quotes_l1_pkey;

alter table quotes_l1 add primary key (symbol, ts, ts_ns, provider, feed, seq, n);

drop index quotes_l1_n;

insert into quote_symbols
with recursive found as (
    (select symbol from quotes_l1 order by symbol limit 1)
    union all (select q.symbol from found f cross join lateral
        (select symbol from quotes_l1 where symbol > f.symbol order by symbol limit 1) q)
) table found
on conflict do nothing;

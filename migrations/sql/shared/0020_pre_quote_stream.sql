-- depends: 0017_post_key_of_candles
-- A feed without sequence numbers may send two quotes of one nanosecond: they are two rows, told apart by n. The new
-- key stands beside the old one until workers of the release before, whose upserts name the old one, are gone; until
-- then the second of two such quotes is not stored. Writers wait while the index is made.

alter table quotes_l1 add column n int8 not null default 0;

create unique index quotes_l1_n on quotes_l1 (symbol, ts, ts_ns, provider, feed, seq, n);

comment on column quotes_l1.n is 'Number of the quote within its symbol, as on md.quotes.v1, from 1; 0 for a quote that was fetched.';

-- of the latest quote there is one a symbol: without a list of them all rows would be read to find them

create table quote_symbols (
    symbol text primary key
);

comment on table quote_symbols is 'Every symbol that quotes_l1 has or had, so that latest_quotes need not look for them.';
comment on column quote_symbols.symbol is 'Canonical symbol, as in quotes_l1.';

insert into quote_symbols
with recursive found as (
    (select symbol from quotes_l1 order by symbol limit 1)
    union all (select q.symbol from found f cross join lateral
        (select symbol from quotes_l1 where symbol > f.symbol order by symbol limit 1) q)
) table found;

create view latest_quotes as select
    s.symbol, q.ts, q.ts_ns, q.bid, q.ask, q.bid_size, q.ask_size, q.provider, q.feed, q.coverage, q.seq, q.n, q.flags
from quote_symbols s
cross join lateral (select * from quotes_l1 l where l.symbol = s.symbol
    order by l.ts desc, l.ts_ns desc, l.provider_rank desc, l.n desc limit 1) q;

comment on view latest_quotes is 'The latest quote of each symbol by the time at its source, whoever delivered it; of several at one time that of the best source.';

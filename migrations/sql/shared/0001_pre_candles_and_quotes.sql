-- The two tables of the hot path. Checks are few here: each one is paid for by every row.

create table candles_intraday (
    symbol text not null,
    interval text not null check (interval ~ '^[1-9][0-9]*[smhd]$'),
    ts timestamptz not null,
    o float8 not null,
    h float8 not null,
    l float8 not null,
    c float8 not null,
    v float8 not null check (v >= 0 and v < 'Infinity'),
    vwap float8,
    trade_count int8 check (trade_count >= 0),
    provider text not null check (provider <> ''),
    feed text not null default '',
    rule text not null check (rule <> ''),
    provider_rank int2 not null,
    revision int4 not null default 0 check (revision >= 0),
    is_final bool not null default false,
    updated_at timestamptz not null default now(),
    constraint candles_intraday_low_high check (l <= h),
    primary key (symbol, interval, ts)
);

comment on table candles_intraday is 'One bar a row, [ts, ts + interval), UTC, with its provenance. A row is replaced only by a higher (provider_rank, is_final, revision). Hypertable with 7-day chunks where TimescaleDB is.';
comment on column candles_intraday.symbol is 'Canonical symbol: upper case, as in AAPL, BRK.B, XBT/USDT.';
comment on column candles_intraday.interval is 'Length of the bar: a number and s, m, h or d, as in 1m.';
comment on column candles_intraday.ts is 'Start of the bar (inclusive), UTC.';
comment on column candles_intraday.o is 'Open: price of one unit in quote currency.';
comment on column candles_intraday.h is 'High: price of one unit in quote currency.';
comment on column candles_intraday.l is 'Low: price of one unit in quote currency.';
comment on column candles_intraday.c is 'Close: price of one unit in quote currency.';
comment on column candles_intraday.v is 'Volume in units (shares, coins), not lots; trade sums are exact at nine decimals.';
comment on column candles_intraday.vwap is 'Sum of price times size divided by volume, in quote currency; null if the provider gives none.';
comment on column candles_intraday.trade_count is 'Number of trades in the bar; null if the provider gives none.';
comment on column candles_intraday.provider is 'Who delivered the trades or the bar, as in polygon, kraken.';
comment on column candles_intraday.feed is 'Which of the provider''s feeds, as in sip, iex; empty if it has one only.';
comment on column candles_intraday.rule is 'Which trades counted for what: a name and its version, as in all_trades.v1, sip.v1.';
comment on column candles_intraday.provider_rank is 'Quality of the source when the row was written; higher is better and wins.';
comment on column candles_intraday.revision is '0 for the first final bar, one more for each correction; while is_final is false it counts the trades so far.';
comment on column candles_intraday.is_final is 'False: provisional, published while the bar was open or from a lesser source.';
comment on column candles_intraday.updated_at is 'When the row was last written, by the clock of the database.';

-- ts holds microseconds only: two quotes may differ in ts_ns alone, so ts_ns is part of the key, next
-- to ts, so that the index is in the order of time. Symbol comes first: what is asked most is the
-- latest quote of one symbol, which a key that starts with ts could serve only by a second index.
create table quotes_l1 (
    symbol text not null,
    ts timestamptz not null,
    ts_ns int8 not null,
    bid float8,
    ask float8,
    bid_size float8,
    ask_size float8,
    provider text not null,
    feed text not null default '',
    seq int8 not null default 0,
    flags int4 not null default 0,
    constraint quotes_l1_sizes check (bid_size >= 0 and ask_size >= 0),
    primary key (symbol, ts, ts_ns, provider, feed, seq)
);

comment on table quotes_l1 is 'Best bid and ask, one change a row. Crossed and locked quotes are kept and flagged. Hypertable with 1-day chunks where TimescaleDB is; 90 days are kept where the edition has policies.';
comment on column quotes_l1.symbol is 'Canonical symbol: upper case, as in AAPL, BRK.B, XBT/USDT.';
comment on column quotes_l1.ts is 'Time of the quote at its source, UTC, cut (not rounded) to microseconds.';
comment on column quotes_l1.ts_ns is 'The same time in nanoseconds since the epoch, UTC.';
comment on column quotes_l1.bid is 'Best bid: price of one unit in quote currency; null if there is none.';
comment on column quotes_l1.ask is 'Best ask: price of one unit in quote currency; null if there is none.';
comment on column quotes_l1.bid_size is 'Units at the bid (shares, coins), not lots; null if there is no bid.';
comment on column quotes_l1.ask_size is 'Units at the ask (shares, coins), not lots; null if there is no ask.';
comment on column quotes_l1.provider is 'Who delivered it, as in polygon, kraken.';
comment on column quotes_l1.feed is 'Which of the provider''s feeds, as in sip, iex; empty if it has one only.';
comment on column quotes_l1.seq is 'Sequence number of the feed; 0 if it has none.';
comment on column quotes_l1.flags is 'Sum of: 1 crossed, 2 locked, 4 one-sided, 8 stale, 16 out of order.';

-- depends: 0012_pre_settings_by_position
-- Bars of one minute that are adjusted differently, or made of other trades, are different things. The new key
-- stands beside the old one until workers of the release before, whose upserts name the old one, are gone; until
-- then an adjusted bar is refused where a raw one is stored. Writers wait while the index is made: on a hypertable
-- it cannot be made concurrently.

alter table candles_intraday
    add column coverage text not null default '' check (coverage in ('', 'consolidated', 'iex')),
    add column adjustment text not null default 'raw' check (adjustment in ('raw', 'split', 'all')),
    add column as_of timestamptz;

create unique index candles_intraday_kind on candles_intraday (symbol, interval, ts, adjustment);

comment on table candles_intraday is 'One bar and adjustment a row, [ts, ts + interval), UTC, with its provenance. A row is replaced only by a higher (provider_rank, provider, feed, rule, is_final, as_of, revision). Hypertable with 7-day chunks where TimescaleDB is.';
comment on column candles_intraday.provider_rank is 'Quality of the source when the row was written: coverage, then place in PROVIDER_RANK, then the provider''s own bar before one made of its trades; higher is better and wins.';
comment on column candles_intraday.revision is '0 for the first final bar, one more for each correction; while is_final is false it counts the trades so far; 0 for a provider''s own bar.';
comment on column candles_intraday.is_final is 'False: provisional, published while the bar was open, fetched before the provider was done with it, or from a lesser source than was asked for.';
comment on column candles_intraday.coverage is 'Whose trades are in it: consolidated: of all exchanges of the tape; iex: of IEX alone; empty: of the provider''s own market.';
comment on column candles_intraday.adjustment is 'What prices and sizes are adjusted for: raw: nothing; split: splits; all: splits and dividends.';
comment on column candles_intraday.as_of is 'When the provider was asked for it, UTC, cut to microseconds; the later answer wins. Null for a bar made of trades.';

-- no checks: every quote would pay for them, and a compressed hypertable takes none
alter table quotes_l1
    add column coverage text not null default '',
    add column provider_rank int2 not null default 0;

comment on column quotes_l1.coverage is 'Whose quotes: consolidated: the best of all exchanges of the tape; iex: of IEX alone; empty: of the provider''s own market.';
comment on column quotes_l1.provider_rank is 'Quality of the source when the row was written, as in candles_intraday.';

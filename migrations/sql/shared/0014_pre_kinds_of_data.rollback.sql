alter table quotes_l1
    drop column provider_rank,
    drop column coverage;

drop index candles_intraday_kind;

alter table candles_intraday
    drop column as_of,
    drop column adjustment,
    drop column coverage;

comment on table candles_intraday is 'One bar a row, [ts, ts + interval), UTC, with its provenance. A row is replaced only by a higher (provider_rank, is_final, revision). Hypertable with 7-day chunks where TimescaleDB is.';
comment on column candles_intraday.provider_rank is 'Quality of the source when the row was written; higher is better and wins.';
comment on column candles_intraday.revision is '0 for the first final bar, one more for each correction; while is_final is false it counts the trades so far.';
comment on column candles_intraday.is_final is 'False: provisional, published while the bar was open or from a lesser source.';

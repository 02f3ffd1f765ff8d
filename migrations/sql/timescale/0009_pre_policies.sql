-- depends: 0008_pre_hypertables
-- Compression and retention by policy belong to the Community edition; the functions exist in the Apache
-- edition too and refuse there, so the licence is asked, not the catalogue. Candles are compressed only when
-- they are older than any late trade or backfill, because an upsert into a compressed chunk is slow.

do $$
begin
    if coalesce(current_setting('timescaledb.license', true), '') = 'timescale' then
        execute $q$alter table candles_intraday set (timescaledb.compress, timescaledb.compress_segmentby = 'symbol, interval', timescaledb.compress_orderby = 'ts desc')$q$;
        execute $q$alter table quotes_l1 set (timescaledb.compress, timescaledb.compress_segmentby = 'symbol', timescaledb.compress_orderby = 'ts desc, ts_ns desc')$q$;
        execute $q$alter table options_metrics set (timescaledb.compress, timescaledb.compress_segmentby = 'underlying', timescaledb.compress_orderby = 'ts desc, contract')$q$;
        perform add_compression_policy('candles_intraday', compress_after => interval '30 days', if_not_exists => true);
        perform add_compression_policy('quotes_l1', compress_after => interval '7 days', if_not_exists => true);
        perform add_compression_policy('options_metrics', compress_after => interval '30 days', if_not_exists => true);
        perform add_retention_policy('quotes_l1', drop_after => interval '90 days', if_not_exists => true);
    end if;
end
$$;

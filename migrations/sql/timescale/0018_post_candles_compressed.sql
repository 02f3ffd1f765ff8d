-- depends: 0017_post_key_of_candles
-- As in 0009, with the adjustment among what one compressed row has in common.

do $$
begin
    if coalesce(current_setting('timescaledb.license', true), '') = 'timescale' then
        execute $q$alter table candles_intraday set (timescaledb.compress, timescaledb.compress_segmentby = 'symbol, interval, adjustment', timescaledb.compress_orderby = 'ts desc')$q$;
        perform add_compression_policy('candles_intraday', compress_after => interval '30 days', if_not_exists => true);
    end if;
end
$$;

do $$
begin
    if coalesce(current_setting('timescaledb.license', true), '') = 'timescale' then
        execute $q$alter table candles_intraday set (timescaledb.compress, timescaledb.compress_segmentby = 'symbol, interval', timescaledb.compress_orderby = 'ts desc')$q$;
        perform add_compression_policy('candles_intraday', compress_after => interval '30 days', if_not_exists => true);
    end if;
end
$$;

do $$
begin
    if coalesce(current_setting('timescaledb.license', true), '') = 'timescale' then
        execute $q$alter table quotes_l1 set (timescaledb.compress, timescaledb.compress_segmentby = 'symbol', timescaledb.compress_orderby = 'ts desc, ts_ns desc')$q$;
        perform add_compression_policy('quotes_l1', compress_after => interval '7 days', if_not_exists => true);
    end if;
end
$$;

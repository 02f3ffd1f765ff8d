do $$
begin
    if coalesce(current_setting('timescaledb.license', true), '') = 'timescale' then
        perform remove_compression_policy('candles_intraday', if_exists => true);
        perform decompress_chunk(chunk, if_compressed => true) from show_chunks('candles_intraday') as chunk;
        execute $q$alter table candles_intraday set (timescaledb.compress = false)$q$;
    end if;
end
$$;

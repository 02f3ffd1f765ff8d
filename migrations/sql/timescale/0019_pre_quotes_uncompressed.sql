-- depends: 0018_post_candles_compressed
-- As 0013 for candles: a compressed hypertable takes no unique index. Compression is off until the key is changed;
-- 0022 compresses again.

do $$
begin
    if coalesce(current_setting('timescaledb.license', true), '') = 'timescale' then
        perform remove_compression_policy('quotes_l1', if_exists => true);
        perform decompress_chunk(chunk, if_compressed => true) from show_chunks('quotes_l1') as chunk;
        execute $q$alter table quotes_l1 set (timescaledb.compress = false)$q$;
    end if;
end
$$;

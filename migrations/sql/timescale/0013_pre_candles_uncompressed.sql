-- depends: 0009_pre_policies
-- A compressed hypertable takes neither a column with a check nor a unique index. Where 0009 switched compression on,
-- it is switched off until the key is changed: chunks are decompressed, which takes room for them. 0018 compresses
-- again.

do $$
begin
    if coalesce(current_setting('timescaledb.license', true), '') = 'timescale' then
        perform remove_compression_policy('candles_intraday', if_exists => true);
        perform decompress_chunk(chunk, if_compressed => true) from show_chunks('candles_intraday') as chunk;
        execute $q$alter table candles_intraday set (timescaledb.compress = false)$q$;
    end if;
end
$$;

do $$
begin
    if coalesce(current_setting('timescaledb.license', true), '') = 'timescale' then
        perform remove_compression_policy('quotes_l1', if_exists => true);
        perform decompress_chunk(chunk, if_compressed => true) from show_chunks('quotes_l1') as chunk;
        execute $q$alter table quotes_l1 set (timescaledb.compress = false)$q$;
    end if;
end
$$;

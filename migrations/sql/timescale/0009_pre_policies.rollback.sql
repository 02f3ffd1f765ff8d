-- Chunks that are compressed already are decompressed: compression cannot be switched off around them.

do $$
declare
    hypertable text;
begin
    if coalesce(current_setting('timescaledb.license', true), '') = 'timescale' then
        perform remove_retention_policy('quotes_l1', if_exists => true);
        foreach hypertable in array array['candles_intraday', 'quotes_l1', 'options_metrics'] loop
            perform remove_compression_policy(hypertable::regclass, if_exists => true);
            perform decompress_chunk(chunk, if_compressed => true) from show_chunks(hypertable::regclass) as chunk;
            execute format('alter table %I set (timescaledb.compress = false)', hypertable);
        end loop;
    end if;
end
$$;

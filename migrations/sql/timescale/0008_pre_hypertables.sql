-- depends: 0007_pre_extension
-- Chunks are sized so that the indexes of those being written stay in memory. The default index on ts is
-- refused: it costs a third of the insert rate, and the primary keys already contain it. Rows are there only after
-- the rollback; they are moved into chunks.

do $$
begin
    perform create_hypertable('candles_intraday', by_range('ts', interval '7 days'), create_default_indexes => false, migrate_data => true);
    perform create_hypertable('quotes_l1', by_range('ts', interval '1 day'), create_default_indexes => false, migrate_data => true);
    perform create_hypertable('options_metrics', by_range('ts', interval '7 days'), create_default_indexes => false, migrate_data => true);
end
$$;

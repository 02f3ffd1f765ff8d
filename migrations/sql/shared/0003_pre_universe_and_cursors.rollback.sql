drop table ingestion_cursor;

drop table symbol_universe;

drop table universe_versions;

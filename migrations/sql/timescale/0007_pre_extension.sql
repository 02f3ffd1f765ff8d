-- depends: 0006_pre_macro_and_options

create extension if not exists timescaledb;

-- depends: 0006_pre_macro_and_options
-- Without chunks, old rows are found by these: rows arrive nearly in the order of time, so half a byte a row is
-- enough to delete or scan a range of days without reading the whole table.

create index quotes_l1_time on quotes_l1 using brin (ts);

create index candles_intraday_time on candles_intraday using brin (ts);

create index options_metrics_time on options_metrics using brin (ts);

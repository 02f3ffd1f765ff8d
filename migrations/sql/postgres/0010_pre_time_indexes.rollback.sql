drop index options_metrics_time;

drop index candles_intraday_time;

drop index quotes_l1_time;

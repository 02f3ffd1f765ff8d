drop table quotes_l1;

drop table candles_intraday;

drop table options_metrics;

drop table macro_factors;

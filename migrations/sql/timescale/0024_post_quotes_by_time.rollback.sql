drop index quotes_l1_time;

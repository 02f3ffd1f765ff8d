-- Of quotes that differ in n alone the first stays: the key before takes no second.

delete from quotes_l1 q using quotes_l1 k
where (q.symbol, q.ts, q.ts_ns, q.provider, q.feed, q.seq) = (k.symbol, k.ts, k.ts_ns, k.provider, k.feed, k.seq)
  and q.n > k.n;

create unique index quotes_l1_n on quotes_l1 (symbol, ts, ts_ns, provider, feed, seq, n);

alter table quotes_l1 drop constraint quotes_l1_pkey;

alter table quotes_l1 add primary key (symbol, ts, ts_ns, provider, feed, seq);

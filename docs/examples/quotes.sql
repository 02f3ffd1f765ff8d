-- The last quote of some symbols; without `where`, of all of them.
select symbol, ts, bid, bid_size, ask, ask_size, provider, feed
from latest_quotes
where symbol in ('AAPL', 'MSFT')
order by symbol;

-- The quotes of one symbol in a stretch of time, in the order of their source.
select ts_ns, bid, bid_size, ask, ask_size, provider, feed, flags
from quotes_l1
where symbol = 'AAPL' and ts >= '2025-11-10T17:00Z' and ts < '2025-11-10T18:00Z'
order by ts, ts_ns, provider, feed, seq, n;

-- All quotes of a minute that are crossed or locked: flags are a sum, 1 is crossed and 2 is locked.
select symbol, ts, bid, ask, provider, feed
from quotes_l1
where ts >= '2025-11-10T17:23Z' and ts < '2025-11-10T17:24Z' and flags & 3 <> 0
order by ts, symbol;

-- What was the quote when something happened? The last one of a provider that was no later.
select ts, bid, ask
from quotes_l1
where symbol = 'AAPL' and provider = 'polygon' and ts <= '2025-11-10T17:23:53.971744Z'
order by ts desc, ts_ns desc, seq desc, n desc
limit 1;

-- The release before takes every bar for a raw one: adjusted bars are deleted, before they pass for what they are not.

delete from candles_intraday where adjustment <> 'raw';

update candles_intraday
set coverage = '', provider_rank = (provider_rank + case when provider_rank < 0 then 16384 else 0 end) / 2
where feed in ('sip', 'iex') and coverage <> '';

create unique index candles_intraday_kind on candles_intraday (symbol, interval, ts, adjustment);

alter table candles_intraday drop constraint candles_intraday_pkey;

alter table candles_intraday add primary key (symbol, interval, ts);

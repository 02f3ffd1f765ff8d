-- depends: 0016_pre_words_of_backfills
-- The new key takes the old one's place; writers wait while its index is made. Workers of the release before said
-- nothing of coverage: their rows of known feeds learn it, and their rank is counted as it is now (domain/rank.py).
-- Each of these rows is written once more: with years of them in the table, allow for the time and the room.

alter table candles_intraday drop constraint candles_intraday_pkey;

alter table candles_intraday add primary key (symbol, interval, ts, adjustment);

drop index candles_intraday_kind;

update candles_intraday set coverage = 'consolidated', provider_rank = 2 * provider_rank
where feed = 'sip' and coverage = '';

update candles_intraday set coverage = 'iex', provider_rank = 2 * provider_rank - 16384
where feed = 'iex' and provider_rank >= 0;

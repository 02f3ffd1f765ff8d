drop table gap_ledger;

drop table backfill_jobs;

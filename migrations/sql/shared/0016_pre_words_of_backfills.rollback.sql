alter table backfill_jobs
    drop column provider_hint,
    drop column note;

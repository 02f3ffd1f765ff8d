-- depends: 0015_pre_jobs

alter table backfill_jobs
    add column note text,
    add column provider_hint text;

comment on column backfill_jobs.note is 'Why, in the words of who asked; null if tapeflow asked itself.';
comment on column backfill_jobs.provider_hint is 'Provider to be asked first if it is fit; null for none.';

-- depends: 0006_pre_macro_and_options
-- The number of a version is its position on md.control.v1, the one order that all workers see alike. After the
-- topic was re-created it begins again, hence the digest beside it.

alter table settings_versions alter column version drop identity;

alter table settings_versions drop constraint settings_versions_pkey;

alter table settings_versions add primary key (version, digest);

comment on table settings_versions is 'Every document of settings that was accepted; written by each worker that adopts it, kept once.';
comment on column settings_versions.version is 'Number of the version: its position on md.control.v1, from 1.';
comment on column settings_versions.document is 'The live settings; no secret is among them, nor what the sender''s environment pins.';
comment on column settings_versions.actor is 'Who asked for the reload.';
comment on column settings_versions.applied_at is 'When the broker took it.';

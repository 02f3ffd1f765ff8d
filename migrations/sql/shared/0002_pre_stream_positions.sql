-- depends: 0001_pre_candles_and_quotes
-- Each row is updated by every batch: half of each page is left free so that the update stays in it,
-- and the snapshot is stored uncompressed because it is already compact.

create table sink_offsets (
    sink text not null,
    cluster text not null,
    topic text not null,
    part int4 not null check (part >= 0),
    next_offset int8 not null check (next_offset >= 0),
    resume_offset int8 not null,
    state bytea,
    updated_at timestamptz not null default now(),
    constraint sink_offsets_resume check (resume_offset between 0 and next_offset),
    primary key (sink, cluster, topic, part)
) with (fillfactor = 50);

alter table sink_offsets alter column state set storage external;

comment on table sink_offsets is 'The checkpoint of each partition, advanced by compare-and-swap in the transaction that writes its rows. Kafka''s own group offset is a hint that may lag behind it, never lead.';
comment on column sink_offsets.sink is 'Which writer the position belongs to, as in candles, quotes.';
comment on column sink_offsets.cluster is 'Id of the Kafka cluster: offsets of another cluster mean nothing.';
comment on column sink_offsets.topic is 'Input topic.';
comment on column sink_offsets.part is 'Partition of the topic, from 0.';
comment on column sink_offsets.next_offset is 'First offset whose effect is not yet stored.';
comment on column sink_offsets.resume_offset is 'Where folding starts again after a takeover; what records below next_offset would emit is suppressed.';
comment on column sink_offsets.state is 'Snapshot of the fold at resume_offset: MessagePack with a version byte; null for a writer without state.';
comment on column sink_offsets.updated_at is 'When the row was last written, by the clock of the database.';

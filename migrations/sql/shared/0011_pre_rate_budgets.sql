-- depends: 0006_pre_macro_and_options
-- Rows live for as long as the longest window of their budget; each is updated a few times at most.

create table rate_leases (
    budget text not null,
    share text not null check (share in ('live', 'backfill')),
    at timestamptz not null,
    permits int4 not null check (permits > 0),
    primary key (budget, share, at)
) with (fillfactor = 50);

comment on table rate_leases is 'Requests to vendors that workers may have sent, counted over the windows of each API key''s budget; older rows are deleted by the next lease.';
comment on column rate_leases.budget is 'Provider and the beginning of the key''s SHA-256, as in polygon:0123456789abcdef; the key is nowhere.';
comment on column rate_leases.share is 'live: requests of live work; backfill: of backfills. The shares count apart.';
comment on column rate_leases.at is 'When the permits were leased, by the clock of the database, rounded up to a tenth of a second or less.';
comment on column rate_leases.permits is 'How many were leased then.';

create table rate_blocks (
    budget text primary key,
    blocked_until timestamptz not null,
    updated_at timestamptz not null default now()
);

comment on table rate_blocks is 'Budgets that grant nothing for a while, because a vendor told one of the workers so; all of them obey.';
comment on column rate_blocks.budget is 'As in rate_leases.';
comment on column rate_blocks.blocked_until is 'No lease before this, by the clock of the database; in the past for a block that is over.';
comment on column rate_blocks.updated_at is 'When a worker last asked for a block.';

-- Versions of an index, each a collection of its own: one is live, another may be built beside it, former ones are kept for a
-- rollback. ARCHITECTURE.md gives the reasons.

alter table tidewell.indexes
    -- The live version.
    add column version integer not null default 1,
    -- What documents are embedded from, and by which model; null: they have no vectors.
    add column embedding jsonb;

create table tidewell.index_versions (
    index_id uuid not null references tidewell.indexes (id),
    number integer not null check (number > 0),
    collection text not null unique,
    fields jsonb not null,
    default_sorting_field text,
    embedding jsonb,
    -- What its vectors were made by: vectors of another fingerprint are never put beside them. Null until the first is made.
    fingerprint jsonb,
    -- What changes in the record is listed (version_changes) for versions that are built or retired.
    -- Dropping: its collection is yet to be deleted.
    state text not null check (state in ('building', 'live', 'retired', 'dropping', 'dropped')),
    created_at timestamptz not null default now(),
    live_at timestamptz,
    retired_at timestamptz,
    primary key (index_id, number)
);
create unique index index_versions_live on tidewell.index_versions (index_id) where state = 'live';
create index index_versions_former on tidewell.index_versions (state, retired_at) where state in ('retired', 'dropping');
-- Front ends remember the live version's fingerprint with the index.
create trigger notify_changed after update of fingerprint on tidewell.index_versions
    for each row execute function tidewell.notify_changed();

insert into tidewell.index_versions
    (index_id, number, collection, fields, default_sorting_field, state, created_at, live_at)
select id, 1, coalesce(collection, alias || '_v1'), fields, default_sorting_field, 'live', created_at, created_at
from tidewell.indexes;

-- Whoever makes another version live asks for the lanes: they are not leased anew until then, and their holders give them up.
alter table tidewell.lanes add column wanted_until timestamptz not null default '-infinity';

-- Documents whose record has changed since a version that is not live was given them, or was live.
create table tidewell.version_changes (
    index_id uuid not null,
    number integer not null,
    document_id text collate "C" not null,
    -- The record's version that made the change, to tell a later change from the one that was taken.
    document_version bigint not null,
    primary key (index_id, number, document_id)
) with (autovacuum_vacuum_scale_factor = 0.05);

-- Documents that the collection of a version that is being made live does not take.
create table tidewell.version_refusals (
    index_id uuid not null,
    number integer not null,
    document_id text collate "C" not null,
    code text not null,
    message text not null,
    primary key (index_id, number, document_id)
);

-- Requests to the collection of a version that is being made live, whose answer is not known.
create table tidewell.version_flights (
    id uuid primary key,
    index_id uuid not null,
    number integer not null,
    -- Of the lease under which it was sent.
    fence bigint not null,
    document_ids text[] not null,
    -- When nothing of it can be alive any more; known once its sender has lost its lease.
    doubted_until timestamptz not null default 'infinity'
);
create index version_flights_by_version on tidewell.version_flights (index_id, number);

-- Reindexing and rolling back: how a version becomes the live one.
create table tidewell.reindexes (
    -- Also the id of the job that its caller was told.
    id uuid primary key,
    organization_id uuid not null,
    index_id uuid not null references tidewell.indexes (id),
    kind text not null check (kind in ('reindex', 'rollback', 'in_place')),
    -- The version that is to be live; for a change in place the one that is.
    number integer not null,
    -- The fields that a change in place is to leave; null otherwise.
    fields jsonb,
    -- How many documents may be refused; null: any number.
    max_refused bigint,
    status text not null default 'queued' check (status in ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    phase text not null default 'waiting' check (phase in ('waiting', 'building', 'catching_up', 'swapping', 'done')),
    cancel_requested boolean not null default false,
    -- Documents to be written, those that are, and those that were refused.
    total bigint not null default 0,
    done bigint not null default 0,
    refused bigint not null default 0,
    -- The id behind which the record has not been copied yet; null: all of it is.
    position text collate "C" default '',
    error text,
    requested_by text not null,
    request_id text not null,
    fence bigint not null default 0,
    leased_by text,
    leased_until timestamptz not null default '-infinity',
    next_try_at timestamptz not null default now(),
    enqueued_at timestamptz not null default now(),
    started_at timestamptz,
    finished_at timestamptz
);
create unique index reindexes_under_way on tidewell.reindexes (index_id) where status in ('queued', 'running');
create index reindexes_by_index on tidewell.reindexes (index_id, id desc);

-- The last comparison of each index's collection with the record.
create table tidewell.index_checks (
    index_id uuid primary key references tidewell.indexes (id),
    -- When the next is due, and until when somebody is at it.
    due_at timestamptz not null default now(),
    leased_until timestamptz not null default '-infinity',
    checked_at timestamptz,
    documents bigint,
    missing bigint,
    extra bigint,
    stale bigint,
    repaired bigint,
    error text
);
create index index_checks_due on tidewell.index_checks (due_at);
insert into tidewell.index_checks (index_id) select id from tidewell.indexes;

-- Table sync, as Tidewell alone sees it: where sources are, what each job has written into its collection, and who works on it.

-- Logical names of source databases. URLs are encrypted with a key derived from TIDEWELL_SECRET.
create table tidewell.clients (
    id uuid primary key,
    name text not null constraint clients_name_key unique,
    url_encrypted bytea not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

-- What a job stands on, and who holds it. One holder at a time; `fence` grows with each, so that a late one is told apart.
create table tidewell.sync_states (
    job_id uuid primary key references public.typesense_sync_jobs (id) on delete cascade,
    -- Where the collections are: the backend, and its first address. Elsewhere a collection of the same name is another one.
    backend text,
    -- The collection that holds the documents, and the one before it; null until they are made.
    collection text,
    previous_collection text,
    -- Made by Tidewell for this job alone. A collection that was there before is shared: only this job's own documents are touched.
    owns_collection boolean not null default true,
    -- Of the mapping from rows to documents that the collection was made by: another one asks for a new collection.
    mapping text,
    previous_mapping text,
    -- Numbers the passes over the source; a chunk carries that of the pass that wrote it.
    generation bigint not null default 0,
    -- Where the job has a cursor column: rows that changed before this moment were read by the last pass.
    cursor_since timestamptz,
    -- When documents whose requests are in doubt must be looked at again.
    repair_at timestamptz,
    fence bigint not null default 0,
    leased_by text,
    leased_until timestamptz not null default '-infinity',
    -- Of live mode: the slot that holds all changes since a comparison, how far behind its reader is, why nobody reads it, and until when.
    live_slot text,
    live_lag_bytes bigint,
    live_lag_ms bigint,
    live_error text,
    live_resume_at timestamptz
) with (fillfactor = 50);

-- Replication slots that were made in source databases. One that nobody reads holds back the log there: it is dropped when it holds too
-- much, and when its job is gone.
create table tidewell.sync_slots (
    name text not null,
    job_id uuid not null,
    client_id uuid not null constraint sync_slots_client_fkey references tidewell.clients (id),
    created_at timestamptz not null default now(),
    primary key (name, client_id)
);

-- What this job has written into a collection, in the source's order of keys and cut into ranges: the ids of a range, and for each the
-- hash of what was sent and a state (9 bytes; `domain/sync_entry.rs` reads them). A chunk covers the keys after the one before it up to and
-- with `upper`, or to the end where that is null. Read in the order of generation (descending) and ordinal.
create table tidewell.sync_chunks (
    job_id uuid not null references public.typesense_sync_jobs (id) on delete cascade,
    collection text not null,
    generation bigint not null,
    ordinal bigint not null,
    upper text[],
    ids text[] not null,
    entries bytea not null,
    primary key (job_id, collection, generation, ordinal),
    check (octet_length(entries) = 9 * cardinality(ids))
);

-- What is known of single documents beside the chunks, and newer than they are. A pass takes it in.
create table tidewell.sync_overlay (
    job_id uuid not null references public.typesense_sync_jobs (id) on delete cascade,
    collection text not null,
    document_id text collate "C" not null,
    -- As in a chunk; null: not in the collection, unless it is to be looked at.
    entry bytea check (octet_length(entry) = 9),
    -- To be written or deleted whatever is known of it: a request that carried it is in doubt, somebody asked for it, it has drifted.
    look boolean not null default false,
    -- Until when a request that carried it may still take effect; looked at by each pass until then, and once more.
    doubted_until timestamptz,
    -- A pass takes in what it has seen, and not what came after.
    changed_at timestamptz not null default clock_timestamp(),
    primary key (job_id, collection, document_id)
);

-- Requests of a job whose answer has not been reconciled. What a lost holder leaves here becomes overlay of its successor.
create table tidewell.sync_flights (
    id uuid primary key,
    job_id uuid not null references public.typesense_sync_jobs (id) on delete cascade,
    collection text not null,
    document_ids text[] not null,
    fence bigint not null,
    opened_at timestamptz not null default clock_timestamp(),
    -- When no lost request can be alive any more, if the last one was sent when the flight was opened.
    doubted_until timestamptz not null
);
create index sync_flights_by_job on tidewell.sync_flights (job_id);

-- Where a run stands: after a kill it goes on behind `position`, in a new snapshot.
create table tidewell.sync_positions (
    run_id uuid primary key references public.typesense_sync_runs (id) on delete cascade,
    collection text not null,
    generation bigint not null,
    -- The next chunk's.
    ordinal bigint not null default 0,
    -- The last reconciled key; null: none yet.
    position text[],
    -- The end of the source has been reached: what is left is to finish.
    is_done boolean not null default false,
    -- What `sync_states.cursor_since` becomes when the run has ended well.
    cursor_since timestamptz,
    mapping text not null
);

-- Letters of sync jobs, which belong to no organization and no index.
alter table tidewell.dead_letters
    alter column organization_id drop not null,
    alter column index_id drop not null,
    add column sync_job_id uuid references public.typesense_sync_jobs (id) on delete cascade,
    add constraint dead_letters_owner_check check ((index_id is null) = (sync_job_id is not null) and (organization_id is null) = (index_id is null));
create unique index dead_letters_by_sync_document on tidewell.dead_letters (sync_job_id, document_id) where sync_job_id is not null;
alter table tidewell.dead_letter_acts
    alter column organization_id drop not null,
    alter column index_id drop not null,
    add column sync_job_id uuid;

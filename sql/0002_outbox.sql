-- The durable path: accepted writes (outbox), what has been projected (documents), who works on what (lanes, flights),
-- and how it ended (jobs, dead letters). ARCHITECTURE.md gives the reasons and the measured costs.

-- One order over all accepted writes. Never cached by a session: a version drawn later is larger.
create sequence tidewell.versions as bigint cache 1;

create type tidewell.operation as enum (
    'upsert',
    'delete',
    -- Send the record of the document again, whatever it is: repairs a collection that has drifted from it.
    'reproject',
    -- Delete the document at document_version if it matches the filter in body.
    'delete_if_matches'
);

create table tidewell.jobs (
    id uuid primary key,
    organization_id uuid not null,
    index_id uuid not null,
    request_id text not null,
    total integer not null check (total > 0),
    pending integer not null,
    retrying integer not null default 0,
    succeeded integer not null default 0,
    dead integer not null default 0,
    superseded integer not null default 0,
    enqueued_at timestamptz not null default now(),
    started_at timestamptz,
    finished_at timestamptz,
    check (least(pending, retrying, succeeded, dead, superseded) >= 0),
    check (pending + retrying + succeeded + dead + superseded = total)
) with (fillfactor = 80);
create index jobs_by_organization on tidewell.jobs (organization_id, id desc);
create index jobs_finished on tidewell.jobs (finished_at) where finished_at is not null;

-- Writes that are accepted and not settled yet. No foreign keys: each would cost a lookup and a lock per row at the door.
create table tidewell.outbox (
    index_id uuid not null,
    lane smallint not null,
    -- Part of the key so that the fresh rows of a lane lie together, whatever waits for a retry.
    retrying boolean not null default false,
    version bigint not null default nextval('tidewell.versions'),
    -- The version that the row gives its document; null: the row's own.
    document_version bigint,
    operation tidewell.operation not null,
    document_id text collate "C" not null,
    -- Null: Tidewell's own repair, which belongs to no request.
    job_id uuid,
    body text,
    attempts smallint not null default 0,
    next_retry_at timestamptz,
    first_failed_at timestamptz,
    error_code text,
    error_message text,
    -- The version is unique by itself; the id beside it is there to be looked for without reading the rows.
    primary key (index_id, lane, retrying, version, document_id),
    check (retrying = (next_retry_at is not null))
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 1);
create index outbox_due on tidewell.outbox (index_id, lane, next_retry_at) where retrying;

-- The record: what the collection should hold, one row a document. Tombstones (body is null) stay until nothing older can arrive.
create table tidewell.documents (
    index_id uuid not null,
    document_id text collate "C" not null,
    -- The version that was projected last; 0: none.
    version bigint not null,
    -- The newest version known, projected or dead.
    accepted_version bigint not null,
    body text,
    deleted_at timestamptz,
    primary key (index_id, document_id),
    check (accepted_version >= version)
) with (autovacuum_vacuum_scale_factor = 0.05);
create index documents_tombstones on tidewell.documents (deleted_at) where deleted_at is not null;

-- The unit of order and of concurrency. `sum(accepted) - sum(settled)` of an index is its backlog.
create table tidewell.lanes (
    index_id uuid not null references tidewell.indexes (id),
    lane smallint not null,
    fence bigint not null default 0,
    leased_by text,
    leased_until timestamptz not null default '-infinity',
    settled bigint not null default 0,
    -- Documents of the record that are not deleted.
    documents bigint not null default 0,
    primary key (index_id, lane)
) with (fillfactor = 50);

-- In slots, so that the requests that count here need not wait for each other's commits.
create table tidewell.backlogs (
    index_id uuid not null references tidewell.indexes (id),
    slot smallint not null,
    accepted bigint not null default 0,
    primary key (index_id, slot)
) with (fillfactor = 50);

-- Requests to Typesense whose answer has not been reconciled. A row that outlives its deadline is in doubt: its request may
-- have been applied, or may yet be.
create table tidewell.flights (
    id uuid primary key,
    index_id uuid not null,
    collection text not null,
    document_ids text[] not null,
    versions bigint[] not null,
    worker text not null,
    deadline timestamptz not null,
    -- When no lost request can be alive any more: the last look.
    doubted_until timestamptz not null,
    next_read_at timestamptz not null,
    -- It was looked at after that; the next look is the last.
    confirmed boolean not null default false
);
create index flights_to_read on tidewell.flights (next_read_at);

-- Deletes by filter that wait for the writes before them; while one waits, the index's lanes stop at its version.
create table tidewell.filter_deletes (
    index_id uuid not null,
    version bigint not null default nextval('tidewell.versions'),
    job_id uuid not null,
    filter text not null,
    attempts smallint not null default 0,
    leased_until timestamptz not null default '-infinity',
    next_retry_at timestamptz not null default now(),
    first_failed_at timestamptz,
    primary key (index_id, version)
);

create table tidewell.dead_letters (
    id uuid primary key,
    organization_id uuid not null,
    index_id uuid not null,
    -- Null for a delete by filter.
    document_id text collate "C",
    job_id uuid,
    operation text not null,
    version bigint not null,
    body text,
    error_code text not null,
    error_message text not null,
    error_signature text not null,
    attempts integer not null,
    first_failed_at timestamptz not null,
    last_failed_at timestamptz not null default now()
);
create index dead_letters_by_organization on tidewell.dead_letters (organization_id, id desc);
create index dead_letters_by_signature on tidewell.dead_letters (error_signature, index_id);
create index dead_letters_by_job on tidewell.dead_letters (job_id);
create index dead_letters_by_document on tidewell.dead_letters (index_id, document_id);

-- Who did what to which dead letter. Kept after the letter has gone.
create table tidewell.dead_letter_acts (
    id bigint generated always as identity primary key,
    dead_letter_id uuid not null,
    organization_id uuid not null,
    index_id uuid not null,
    document_id text,
    version bigint not null,
    act text not null check (act in ('retry', 'mend', 'discard', 'superseded')),
    actor text not null,
    request_id text not null,
    acted_at timestamptz not null default now()
);
create index dead_letter_acts_by_letter on tidewell.dead_letter_acts (dead_letter_id);
-- A version is given to one write, or to the deletions of one filter: enough to find the trail of a write.
create index dead_letter_acts_by_write on tidewell.dead_letter_acts (index_id, version);
create index dead_letter_acts_by_age on tidewell.dead_letter_acts (acted_at);

create table tidewell.idempotency_keys (
    organization_id uuid not null,
    method text not null,
    path text not null,
    key text not null,
    body_hash bytea not null,
    -- Not jsonb: the answer repeats ids as they were sent, and jsonb takes no NUL.
    response json not null,
    created_at timestamptz not null default now(),
    primary key (organization_id, method, path, key)
);
create index idempotency_keys_by_age on tidewell.idempotency_keys (created_at);

-- The circuit breaker of each backend as each worker sees it, and the proof that the worker lives.
create table tidewell.workers (
    name text primary key,
    backend text not null,
    breaker text not null check (breaker in ('closed', 'open', 'half_open')),
    breaker_reason text,
    concurrency integer not null,
    started_at timestamptz not null default now(),
    last_seen_at timestamptz not null default now()
);

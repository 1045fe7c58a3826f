-- Everything that `tidewell migrate` makes, which prints this text when it is asked to `--print`. It may be run again and again,
-- before and after `tidewell migrate`, by the owner of the database. Not to be edited: a test keeps it equal to the migrations.

begin;
set local client_min_messages = warning;
set local search_path = public;
do $lock$ begin perform pg_advisory_xact_lock(8388346167795281782); end $lock$;

create table if not exists public._sqlx_migrations (
    version bigint primary key,
    description text not null,
    installed_on timestamptz not null default now(),
    success boolean not null,
    checksum bytea not null,
    execution_time bigint not null
);

do $provision$
begin
if not exists (select from public._sqlx_migrations where version = 1) then
execute $migration$-- Who may call and how much: plans, organizations with their wallets and usage, indexes, keys.

create schema if not exists tidewell;

create table tidewell.plans (
    name text primary key,
    -- Units a calendar month (UTC); null, here and below: no cap.
    monthly_units bigint check (monthly_units > 0),
    -- What a thousand units beyond the cap cost, in minor units of the wallet's currency.
    overage_minor_per_thousand bigint not null check (overage_minor_per_thousand >= 0),
    -- What an organization may hold, all its indexes together.
    max_documents bigint check (max_documents > 0),
    max_indexes bigint check (max_indexes > 0),
    max_keys bigint check (max_keys > 0)
);

insert into tidewell.plans (name, monthly_units, overage_minor_per_thousand, max_documents, max_indexes, max_keys) values
    ('free', 10000, 100, 100000, 10, 20),
    ('starter', 100000, 80, 1000000, 50, 100),
    ('pro', 1000000, 50, 10000000, 200, 500),
    ('business', 5000000, 30, 50000000, 1000, 2000),
    ('enterprise', null, 0, null, null, null);

create table tidewell.organizations (
    id uuid primary key,
    -- The prefix of this organization's collections in Typesense; never reused, never changed.
    short_id text not null unique,
    slug text not null unique,
    name text not null,
    plan text not null references tidewell.plans (name),
    overage_enabled boolean not null default false,
    wallet_minor bigint not null default 0 check (wallet_minor >= 0),
    wallet_reserved_minor bigint not null default 0 check (wallet_reserved_minor >= 0),
    created_at timestamptz not null default now()
);

-- Every movement of a wallet: what it changes of what is free (organizations.wallet_minor) and of what is set aside for units that are
-- not used yet (wallet_reserved_minor). A reserve is followed by its commit or its release.
create table tidewell.wallet_entries (
    id bigint generated always as identity primary key,
    organization_id uuid not null references tidewell.organizations (id),
    kind text not null check (kind in ('top_up', 'reserve', 'commit', 'release')),
    amount_minor bigint not null,
    reserved_minor bigint not null,
    job_id uuid,
    created_at timestamptz not null default now()
);
create index wallet_entries_by_organization on tidewell.wallet_entries (organization_id, id);

-- What an organization has used of a month, rewritten by every accepted request: kept small, with room to update in place. Under a
-- plan with a cap all of it is in slot 0, whose lock is what makes the cap exact; without one, requests spread over the other slots
-- so that they need not wait for each other.
create table tidewell.usage (
    organization_id uuid not null references tidewell.organizations (id),
    month date not null,
    slot smallint not null,
    used bigint not null,
    -- Thousands of units beyond the cap that are paid for.
    overage_thousands bigint not null default 0,
    primary key (organization_id, month, slot)
) with (fillfactor = 50);

-- Units that a front end has taken out of a month ahead of the searches that spend them: they count as used, and what was not spent is
-- given back. One that is not renewed belongs to a front end that was killed; what it had not spent is lost.
create table tidewell.reservations (
    id uuid primary key,
    organization_id uuid not null references tidewell.organizations (id),
    month date not null,
    units bigint not null check (units > 0),
    spent bigint not null default 0 check (spent between 0 and units),
    -- Set aside in the wallet for thousands beyond the cap that began with these units.
    thousands bigint not null default 0,
    price_minor bigint not null default 0,
    renewed_at timestamptz not null default now()
) with (fillfactor = 50);
create index reservations_by_organization on tidewell.reservations (organization_id);

create table tidewell.indexes (
    id uuid primary key,
    organization_id uuid not null references tidewell.organizations (id),
    slug text not null,
    fields jsonb not null,
    default_sorting_field text,
    -- The alias in Typesense that reads and writes go through.
    alias text not null unique,
    -- The physical collection behind the alias; null until the first write needs it.
    collection text,
    max_attempts integer not null default 8 check (max_attempts between 1 and 100),
    -- For how long the answer to a search may be given again; 0: never.
    cache_seconds integer not null default 0 check (cache_seconds between 0 and 60),
    created_at timestamptz not null default now(),
    unique (organization_id, slug)
);

create table tidewell.keys (
    id uuid primary key,
    organization_id uuid not null references tidewell.organizations (id),
    index_id uuid references tidewell.indexes (id),
    name text not null,
    kind text not null check (kind in ('search', 'connector')),
    prefix text not null,
    hash bytea not null unique check (octet_length(hash) = 32),
    scopes text[] not null,
    allowed_origins text[] not null default '{}',
    rate_limit_per_minute integer not null check (rate_limit_per_minute > 0),
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    created_at timestamptz not null default now()
);
create index keys_by_organization on tidewell.keys (organization_id, id desc);

-- Keys for Athena's routes, which are no tenant's.
create table tidewell.gateway_keys (
    id uuid primary key,
    public_id text not null unique,
    name text not null,
    prefix text not null,
    hash bytea not null unique check (octet_length(hash) = 32),
    rights text[] not null,
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    created_at timestamptz not null default now()
);

-- Permits that replicas have taken out of a key's minute; the sum of the live ones never passes the key's limit.
create table tidewell.rate_grants (
    id bigint generated always as identity primary key,
    key_id uuid not null references tidewell.keys (id) on delete cascade,
    permits integer not null check (permits >= 0),
    granted_at timestamptz not null default clock_timestamp()
);
create index rate_grants_by_key on tidewell.rate_grants (key_id, granted_at);

-- What front ends remember of these tables they forget as soon as it changes, by whoever's hand. When a key was last used and what is in
-- a wallet change all the time, and are not remembered.
create function tidewell.notify_changed() returns trigger language plpgsql as $$
begin
    notify tidewell_changed;
    return null;
end
$$;
create trigger notify_changed after insert or delete or update of id, organization_id, index_id, name, kind, hash, scopes,
    allowed_origins, rate_limit_per_minute, expires_at, revoked_at on tidewell.keys
    for each row execute function tidewell.notify_changed();
create trigger notify_changed after insert or delete or update of id, name, hash, rights, expires_at, revoked_at on tidewell.gateway_keys
    for each row execute function tidewell.notify_changed();
create trigger notify_changed after insert or delete or update on tidewell.indexes
    for each row execute function tidewell.notify_changed();
create trigger notify_changed after delete or update of id, short_id, slug, plan, overage_enabled on tidewell.organizations
    for each row execute function tidewell.notify_changed();
create trigger notify_changed after delete or update on tidewell.plans
    for each row execute function tidewell.notify_changed();
$migration$;
insert into public._sqlx_migrations (version, description, success, checksum, execution_time)
values (1, 'tenants', true, decode('81204a1f20e17b9b73402cf5039d289fd8b225b95821542bd65152f376e2768223b31e31ffe4c43f44069fb87854fcfa', 'hex'), 0);
end if;
end
$provision$;

do $provision$
begin
if not exists (select from public._sqlx_migrations where version = 2) then
execute $migration$-- The durable path: accepted writes (outbox), what has been projected (documents), who works on what (lanes, flights),
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
$migration$;
insert into public._sqlx_migrations (version, description, success, checksum, execution_time)
values (2, 'outbox', true, decode('c5798c1a3e5e3f9300e84f1ee43d24a3b15292a1a5af092fd223d62c26ea4ecbff9433fe094bd9ffaf96f26e1b36e59d', 'hex'), 0);
end if;
end
$provision$;

do $provision$
begin
if not exists (select from public._sqlx_migrations where version = 3) then
execute $migration$-- Table sync, as far as its users see it: backends, jobs, runs and how fresh each job is. `typesense.sql` is this same text: it may be
-- run on a database by itself, again and again. Nothing runs until there is a backend and a job.

-- A Typesense to sync into. Its keys are encrypted with a key derived from TIDEWELL_SECRET.
create table if not exists public.typesense_profiles (
    id uuid primary key default gen_random_uuid(),
    name text not null constraint typesense_profiles_name_key unique,
    -- The node that is asked first, and those that take its place.
    base_url text not null,
    further_urls text[] not null default '{}',
    timeout_ms integer not null default 10000 check (timeout_ms between 100 and 600000),
    api_key_encrypted bytea not null,
    -- Preferred for searches, where there is one.
    search_api_key_encrypted bytea,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

-- A table of a client and the collection that it is projected into.
create table if not exists public.typesense_sync_jobs (
    id uuid primary key default gen_random_uuid(),
    name text not null constraint typesense_sync_jobs_name_key unique,
    source_client_name text not null,
    source_schema_name text not null default 'public',
    source_table_name text not null,
    typesense_profile_id uuid not null constraint typesense_sync_jobs_profile_fkey references public.typesense_profiles (id),
    -- The name to search by: an alias of the collection that holds the documents, unless a collection of that name was there before.
    collection_name text not null,
    -- One column, or several with commas: their values, joined, are a document's id.
    document_id_column text not null,
    -- Empty: all columns.
    selected_columns text[] not null default '{}',
    query_by_fields text[] not null default '{}',
    facet_by_fields text[] not null default '{}',
    sort_by_fields text[] not null default '{}',
    -- By column: another name or type of its field, and further properties of Typesense's.
    field_config jsonb not null default '{}',
    default_sort_field text,
    sync_strategy text not null default 'upsert' check (sync_strategy in ('upsert', 'full')),
    -- scheduled: runs compare; live: changes are followed as they are committed.
    mode text not null default 'scheduled' check (mode in ('scheduled', 'live')),
    -- Grows with every change of a row: rows older than the last run need not be read whole.
    cursor_column text,
    -- Documents of one import, and the pause after each.
    batch_size integer not null default 1000 check (batch_size between 1 and 10000),
    batch_delay_ms integer not null default 0 check (batch_delay_ms between 0 and 60000),
    sync_interval_minutes integer check (sync_interval_minutes > 0),
    cron text,
    timezone text not null default 'UTC',
    stale_after_minutes integer not null default 120 check (stale_after_minutes > 0),
    -- A run of which a larger share of rows was refused has failed.
    failed_share_limit double precision not null default 0.5 check (failed_share_limit between 0 and 1),
    enabled boolean not null default true,
    auto_sync_enabled boolean not null default true,
    last_synced_at timestamptz,
    next_sync_at timestamptz default now(),
    last_sync_status text check (last_sync_status in ('success', 'failed', 'cancelled')),
    last_sync_error text,
    last_source_row_count bigint,
    last_imported_count bigint,
    last_deleted_count bigint,
    last_failed_count bigint,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    check (sync_interval_minutes is null or cron is null),
    -- Two jobs would delete each other's documents.
    constraint typesense_sync_jobs_collection_key unique (typesense_profile_id, collection_name)
);

create table if not exists public.typesense_sync_runs (
    id uuid primary key default gen_random_uuid(),
    job_id uuid not null references public.typesense_sync_jobs (id) on delete cascade,
    status text not null default 'queued' check (status in ('queued', 'running', 'paused', 'success', 'failed', 'cancelled')),
    trigger_source text not null check (trigger_source in ('schedule', 'manual', 'api', 'repair', 'redrive', 'live', 'rollback')),
    -- Into a new collection, which takes the old one's place at the end.
    rebuild boolean not null default false,
    imported_count bigint not null default 0,
    deleted_count bigint not null default 0,
    -- Rows of the source that the collection does not take, whether refused by this run or before and unchanged since.
    failed_count bigint not null default 0,
    unchanged_count bigint not null default 0,
    -- Rows read so far; at the end, those of the source.
    source_row_count bigint not null default 0,
    -- Rows that there are to read, as counted or estimated at the start.
    expected_row_count bigint,
    progress_pct double precision not null default 0 check (progress_pct between 0 and 100),
    error text,
    -- Why it waits and until when, while it is paused.
    paused_reason text,
    resume_at timestamptz,
    cancel_requested_at timestamptz,
    -- Milliseconds spent on each stage; stages overlap, so they may add up to more than the run took.
    read_ms bigint not null default 0,
    import_ms bigint not null default 0,
    reconcile_ms bigint not null default 0,
    paused_ms bigint not null default 0,
    queued_at timestamptz not null default now(),
    started_at timestamptz,
    finished_at timestamptz
);
create index if not exists typesense_sync_runs_by_job on public.typesense_sync_runs (job_id, id desc);
create index if not exists typesense_sync_runs_by_age on public.typesense_sync_runs (finished_at) where finished_at is not null;
-- One run of a job at a time.
create unique index if not exists typesense_sync_runs_active on public.typesense_sync_runs (job_id)
    where status in ('queued', 'running', 'paused');

create or replace view public.typesense_sync_job_status as
select job.id, job.name, job.source_client_name, job.source_schema_name, job.source_table_name, job.typesense_profile_id,
       profile.name as profile_name, job.collection_name, job.sync_strategy, job.mode, job.sync_interval_minutes, job.cron,
       job.timezone, job.stale_after_minutes, job.enabled, job.auto_sync_enabled, job.last_synced_at, job.next_sync_at,
       job.last_sync_status, job.last_sync_error, job.last_source_row_count, job.last_imported_count, job.last_deleted_count,
       job.last_failed_count,
       extract(epoch from now() - job.last_synced_at)::double precision as seconds_since_sync,
       freshness.is_stale,
       case
           when not job.enabled then 'disabled'
           when job.last_sync_status = 'failed' then 'failed'
           when job.last_sync_status = 'cancelled' then 'cancelled'
           when job.last_synced_at is null then 'never_synced'
           when freshness.is_stale then 'overdue'
           else 'fresh'
       end as sync_health,
       active.id as active_run_id, active.status as active_run_status, active.progress_pct as active_run_progress_pct
from public.typesense_sync_jobs as job
join public.typesense_profiles as profile on profile.id = job.typesense_profile_id
left join public.typesense_sync_runs as active on active.job_id = job.id and active.status in ('queued', 'running', 'paused')
cross join lateral (
    select job.enabled
           and coalesce(job.last_synced_at < now() - make_interval(mins => job.stale_after_minutes), true) as is_stale
) as freshness;
$migration$;
insert into public._sqlx_migrations (version, description, success, checksum, execution_time)
values (3, 'typesense', true, decode('b71813464a71e42897aadbab16dcd6073b186d9fa2c04d17b063a5c89e3cd48a0623669a076dec9584f89af32d433bd7', 'hex'), 0);
end if;
end
$provision$;

do $provision$
begin
if not exists (select from public._sqlx_migrations where version = 4) then
execute $migration$-- Table sync, as Tidewell alone sees it: where sources are, what each job has written into its collection, and who works on it.

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
$migration$;
insert into public._sqlx_migrations (version, description, success, checksum, execution_time)
values (4, 'sync', true, decode('19f086acb928bb2f24a315c42b78cc459fb5ce2159b0ea1f593b84d2387d510d32acdf9b96a9870433e20f80565a587f', 'hex'), 0);
end if;
end
$provision$;

do $provision$
begin
if not exists (select from public._sqlx_migrations where version = 5) then
execute $migration$-- Versions of an index, each a collection of its own: one is live, another may be built beside it, former ones are kept for a
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
$migration$;
insert into public._sqlx_migrations (version, description, success, checksum, execution_time)
values (5, 'versions', true, decode('e3b06757e3f7c0e7f9d7401e3639c401831d5d0f7ff76081b87e5daf3e16faef139eac2067f9a695d6ee5cf520854133', 'hex'), 0);
end if;
end
$provision$;

do $provision$
begin
if not exists (select from public._sqlx_migrations where version = 6) then
execute $migration$-- Vectors of texts, so that none is made twice, and documents that were written without one.

-- By a hash of the text and of all that decides the vector; shared by all processes, bounded by `prune_finished`.
create table tidewell.embeddings (
    key bytea primary key,
    -- Little-endian 32-bit floats.
    vector bytea not null,
    used_on date not null default current_date
);
-- Floats don't compress: trying costs more than it brings.
alter table tidewell.embeddings alter column vector set storage external;
create index embeddings_by_use on tidewell.embeddings (used_on);

-- Documents of indexes that go without vectors while their model is away: projected again once it is back.
create table tidewell.embedding_debts (
    index_id uuid not null,
    document_id text collate "C" not null,
    primary key (index_id, document_id)
);

-- Why documents have no vectors now, where some should.
alter table tidewell.workers add column embedding_trouble text;

-- What decided the vectors of a sync job's collections: of those that others made, none is compared.
alter table tidewell.sync_states add column fingerprint jsonb, add column previous_fingerprint jsonb;
$migration$;
insert into public._sqlx_migrations (version, description, success, checksum, execution_time)
values (6, 'embeddings', true, decode('9072813eb40ed3b07b333cc023083b391c74cf0284fe61a3a0c9ad07d25220ac39d68ff8ba3d2dadcc51044bcefd450a', 'hex'), 0);
end if;
end
$provision$;

do $provision$
begin
if not exists (select from public._sqlx_migrations where version = 7) then
execute $migration$-- What the documents of a sync job are embedded from, and by which model; null: they have no vectors.
alter table public.typesense_sync_jobs add column if not exists embedding jsonb;
$migration$;
insert into public._sqlx_migrations (version, description, success, checksum, execution_time)
values (7, 'sync embedding', true, decode('96557e6de7c3a52ab76e9fb21f4f7cf73fe3c5e0d6bdef05f72d253193ae3d0b3928059e52f9a11d1a0f32ddd67760c7', 'hex'), 0);
end if;
end
$provision$;

do $provision$
begin
if not exists (select from public._sqlx_migrations where version = 8) then
execute $migration$-- What the processes say of one job, reindex, sync job or run, so that whoever looks into it need not go to the machines they run on.

create table tidewell.log_lines (
    id bigint generated always as identity,
    -- What the line is about.
    subject uuid not null,
    at timestamptz not null,
    level text not null check (level in ('error', 'warn', 'info')),
    message text not null,
    fields jsonb not null,
    -- Who says it.
    process text not null,
    primary key (subject, at, id)
);
create index log_lines_by_age on tidewell.log_lines (at);
$migration$;
insert into public._sqlx_migrations (version, description, success, checksum, execution_time)
values (8, 'log lines', true, decode('09bd3c2557a65ac0ca31d68e860f190a1a83490b12172125d3058d77d918a8952d8fe807516a9a6136093962d83fd4da', 'hex'), 0);
end if;
end
$provision$;

do $provision$
begin
if not exists (select from public._sqlx_migrations where version = 9) then
execute $migration$-- What went through, minute by minute, for pictures of the last hour. The worker that looks first in a minute writes its row.
create table tidewell.activity (
    minute timestamptz primary key,
    -- Totals since the beginning: what went through between two rows is their difference.
    accepted bigint not null,
    projected bigint not null,
    synced bigint not null,
    -- Letters that died since the row before.
    died bigint not null
);

-- Documents that a sync job has written or deleted, all its runs together.
alter table tidewell.sync_states add column synced bigint not null default 0;

-- The lowest id that could have been made at a moment: ids begin with their milliseconds.
create function tidewell.first_id_at(moment timestamptz) returns uuid language sql immutable parallel safe
return (lpad(to_hex((extract(epoch from moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;
$migration$;
insert into public._sqlx_migrations (version, description, success, checksum, execution_time)
values (9, 'activity', true, decode('b87e25fe719c609a22996e6a3255ef9800967f83b1b206ed8f8282a7d0bb243a48b53db9daba555b7254c5cdf8e88d56', 'hex'), 0);
end if;
end
$provision$;

do $provision$
begin
if not exists (select from public._sqlx_migrations where version = 10) then
execute $migration$-- The trace that a write was accepted in, as W3C's traceparent; null where it was not traced. What projects the write links to it.
alter table tidewell.jobs add column trace_parent text;
$migration$;
insert into public._sqlx_migrations (version, description, success, checksum, execution_time)
values (10, 'trace parent', true, decode('2b13effc48db4b34f80579f346b58a0d9165d2f850396e78f7ced2c9e11ef52182bf116c1ac6529fae25041e49fe5eed', 'hex'), 0);
end if;
end
$provision$;

do $provision$
begin
if not exists (select from public._sqlx_migrations where version = 11) then
execute $migration$-- The last number that a collection of the job was given. None is given twice: a late request to delete one could meet another.
alter table tidewell.sync_states add column last_number bigint not null default 0;

update tidewell.sync_states as state
set last_number = (
    select coalesce(max(substring(name from '_v([0-9]{1,18})$')::bigint), 0)
    from (select state.collection as name
          union select state.previous_collection
          union select collection from tidewell.sync_overlay where job_id = state.job_id
          union select position.collection
          from tidewell.sync_positions as position
          join public.typesense_sync_runs as run on run.id = position.run_id
          where run.job_id = state.job_id) as named);

-- Since no number comes back, doubts about documents of a collection that is gone are of no use.
delete from tidewell.sync_overlay as overlay using tidewell.sync_states as state
where state.job_id = overlay.job_id
  and overlay.collection is distinct from state.collection
  and overlay.collection is distinct from state.previous_collection
  and not exists (select from tidewell.sync_positions as position
                  join public.typesense_sync_runs as run on run.id = position.run_id
                  where run.job_id = overlay.job_id and position.collection = overlay.collection);
$migration$;
insert into public._sqlx_migrations (version, description, success, checksum, execution_time)
values (11, 'sync numbers', true, decode('e597b4b568b8a3b509463fca2a2111a6425528316f70b6064f40d65c5a12ee6bbd7cc7ab3b96e8d1df8ab10a1ab06b10', 'hex'), 0);
end if;
end
$provision$;

create schema if not exists apalis;

create table if not exists apalis._sqlx_migrations (
    version bigint primary key,
    description text not null,
    installed_on timestamptz not null default now(),
    success boolean not null,
    checksum bytea not null,
    execution_time bigint not null
);

do $provision$
begin
if not exists (select from apalis._sqlx_migrations where version = 20220530084123) then
execute $migration$    CREATE SCHEMA IF NOT EXISTS apalis;
    
    CREATE TABLE IF NOT EXISTS apalis.workers (
        id TEXT NOT NULL,
        worker_type TEXT NOT NULL,
        storage_name TEXT NOT NULL,
        layers TEXT NOT NULL DEFAULT '',
        last_seen timestamptz not null default now()
    );

    CREATE INDEX IF NOT EXISTS Idx ON apalis.workers(id);

    CREATE UNIQUE INDEX IF NOT EXISTS unique_worker_id ON apalis.workers (id);

    CREATE INDEX IF NOT EXISTS WTIdx ON apalis.workers(worker_type);

    CREATE INDEX IF NOT EXISTS LSIdx ON apalis.workers(last_seen);

    CREATE TABLE IF NOT EXISTS apalis.jobs (
        job JSONB NOT NULL,
        id TEXT NOT NULL,
        job_type TEXT NOT NULL,
        status TEXT NOT NULL DEFAULT 'Pending',
        attempts INTEGER NOT NULL DEFAULT 0,
        max_attempts INTEGER NOT NULL DEFAULT 25,
        run_at timestamptz NOT NULL default now(),
        last_error TEXT,
        lock_at timestamptz,
        lock_by TEXT,
        done_at timestamptz,
        CONSTRAINT fk_worker_lock_by FOREIGN KEY(lock_by) REFERENCES apalis.workers(id)
    );

    CREATE INDEX IF NOT EXISTS TIdx ON apalis.jobs(id);

    CREATE INDEX IF NOT EXISTS SIdx ON apalis.jobs(status);

    CREATE UNIQUE INDEX IF NOT EXISTS unique_job_id ON apalis.jobs (id);

    CREATE INDEX IF NOT EXISTS LIdx ON apalis.jobs(lock_by);

    CREATE INDEX IF NOT EXISTS JTIdx ON apalis.jobs(job_type);

    CREATE OR replace FUNCTION apalis.get_job( 
                worker_id TEXT,
                v_job_type TEXT
            ) returns apalis.jobs AS $$
            DECLARE
                v_job_id text;
                v_job_row apalis.jobs;
            BEGIN
                SELECT   id, job_type
                INTO     v_job_id, v_job_type
                FROM     apalis.jobs
                WHERE    status = 'Pending'
                AND      run_at < now()
                AND      job_type = v_job_type
                ORDER BY run_at ASC limit 1 FOR UPDATE skip LOCKED;
                
                IF v_job_id IS NULL THEN
                    RETURN NULL;
                END IF;

                UPDATE apalis.jobs
                    SET 
                        status = 'Running',      
                        lock_by = worker_id,
                        lock_at = now()
                    WHERE     id = v_job_id
                returning * INTO  v_job_row;
                RETURN v_job_row;
        END;
        $$ LANGUAGE plpgsql volatile;

        CREATE FUNCTION apalis.notify_new_jobs() returns trigger as $$
            BEGIN
                 perform pg_notify('apalis::job', 'insert');
                 return new;
            END;
        $$ language plpgsql;

        CREATE TRIGGER notify_workers after insert on apalis.jobs for each statement execute procedure apalis.notify_new_jobs();

$migration$;
insert into apalis._sqlx_migrations (version, description, success, checksum, execution_time)
values (20220530084123, 'jobs workers', true, decode('d0839c6f57a379769dc27ccd581feb3d2709239c8f138e05271c9e3c760c4517a78a4d8912ab3d63b074b28d15ec74e9', 'hex'), 0);
end if;
end
$provision$;

do $provision$
begin
if not exists (select from apalis._sqlx_migrations where version = 20220709210445) then
execute $migration$CREATE OR REPLACE FUNCTION apalis.push_job(
    job_type text,
    job json DEFAULT NULL :: json,
    job_id text DEFAULT NULL :: text,
    status text DEFAULT 'Pending' :: text,
    run_at timestamptz DEFAULT NOW() :: timestamptz,
    max_attempts integer DEFAULT 25 :: integer
) RETURNS apalis.jobs AS $$ 

        DECLARE 
            v_job_row apalis.jobs;
            v_job_id text;

        BEGIN
        IF job_type is not NULL and length(job_type) > 512 THEN raise exception 'Job_type is too long (max length: 512).' USING errcode = 'APAJT';
        END IF;

        IF max_attempts < 1 THEN raise exception 'Job maximum attempts must be at least 1.' USING errcode = 'APAMA';
        end IF;

        SELECT
            uuid_in(
                md5(random() :: text || now() :: text) :: cstring
            ) INTO v_job_id;
        INSERT INTO
            apalis.jobs
        VALUES
            (
                job,
                v_job_id,
                job_type,
                status,
                0,
                max_attempts,
                run_at,
                NULL,
                NULL,
                NULL,
                NULL
            )
            returning * INTO v_job_row;
            RETURN v_job_row;
END;
$$ LANGUAGE plpgsql volatile;


$migration$;
insert into apalis._sqlx_migrations (version, description, success, checksum, execution_time)
values (20220709210445, 'add job fn', true, decode('14f906e53a627f1b27996e74e8e69dbc29ee70519e7af4f0032a27c75ed706a34af8bafecc8f8572855f314cbc5a7ba9', 'hex'), 0);
end if;
end
$provision$;

do $provision$
begin
if not exists (select from apalis._sqlx_migrations where version = 20230330210841) then
execute $migration$CREATE EXTENSION IF NOT EXISTS pgcrypto;

CREATE OR REPLACE FUNCTION  generate_ulid()
RETURNS TEXT
AS $$
DECLARE
  -- Crockford's Base32
  encoding   BYTEA = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
  timestamp  BYTEA = E'\\000\\000\\000\\000\\000\\000';
  output     TEXT = '';

  unix_time  BIGINT;
  ulid       BYTEA;
BEGIN
  -- 6 timestamp bytes
  unix_time = (EXTRACT(EPOCH FROM CLOCK_TIMESTAMP()) * 1000)::BIGINT;
  timestamp = SET_BYTE(timestamp, 0, (unix_time >> 40)::BIT(8)::INTEGER);
  timestamp = SET_BYTE(timestamp, 1, (unix_time >> 32)::BIT(8)::INTEGER);
  timestamp = SET_BYTE(timestamp, 2, (unix_time >> 24)::BIT(8)::INTEGER);
  timestamp = SET_BYTE(timestamp, 3, (unix_time >> 16)::BIT(8)::INTEGER);
  timestamp = SET_BYTE(timestamp, 4, (unix_time >> 8)::BIT(8)::INTEGER);
  timestamp = SET_BYTE(timestamp, 5, unix_time::BIT(8)::INTEGER);

  -- 10 entropy bytes
  ulid = timestamp || gen_random_bytes(10);

  -- Encode the timestamp
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 0) & 224) >> 5));
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 0) & 31)));
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 1) & 248) >> 3));
  output = output || CHR(GET_BYTE(encoding, ((GET_BYTE(ulid, 1) & 7) << 2) | ((GET_BYTE(ulid, 2) & 192) >> 6)));
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 2) & 62) >> 1));
  output = output || CHR(GET_BYTE(encoding, ((GET_BYTE(ulid, 2) & 1) << 4) | ((GET_BYTE(ulid, 3) & 240) >> 4)));
  output = output || CHR(GET_BYTE(encoding, ((GET_BYTE(ulid, 3) & 15) << 1) | ((GET_BYTE(ulid, 4) & 128) >> 7)));
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 4) & 124) >> 2));
  output = output || CHR(GET_BYTE(encoding, ((GET_BYTE(ulid, 4) & 3) << 3) | ((GET_BYTE(ulid, 5) & 224) >> 5)));
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 5) & 31)));

  -- Encode the entropy
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 6) & 248) >> 3));
  output = output || CHR(GET_BYTE(encoding, ((GET_BYTE(ulid, 6) & 7) << 2) | ((GET_BYTE(ulid, 7) & 192) >> 6)));
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 7) & 62) >> 1));
  output = output || CHR(GET_BYTE(encoding, ((GET_BYTE(ulid, 7) & 1) << 4) | ((GET_BYTE(ulid, 8) & 240) >> 4)));
  output = output || CHR(GET_BYTE(encoding, ((GET_BYTE(ulid, 8) & 15) << 1) | ((GET_BYTE(ulid, 9) & 128) >> 7)));
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 9) & 124) >> 2));
  output = output || CHR(GET_BYTE(encoding, ((GET_BYTE(ulid, 9) & 3) << 3) | ((GET_BYTE(ulid, 10) & 224) >> 5)));
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 10) & 31)));
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 11) & 248) >> 3));
  output = output || CHR(GET_BYTE(encoding, ((GET_BYTE(ulid, 11) & 7) << 2) | ((GET_BYTE(ulid, 12) & 192) >> 6)));
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 12) & 62) >> 1));
  output = output || CHR(GET_BYTE(encoding, ((GET_BYTE(ulid, 12) & 1) << 4) | ((GET_BYTE(ulid, 13) & 240) >> 4)));
  output = output || CHR(GET_BYTE(encoding, ((GET_BYTE(ulid, 13) & 15) << 1) | ((GET_BYTE(ulid, 14) & 128) >> 7)));
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 14) & 124) >> 2));
  output = output || CHR(GET_BYTE(encoding, ((GET_BYTE(ulid, 14) & 3) << 3) | ((GET_BYTE(ulid, 15) & 224) >> 5)));
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 15) & 31)));

  RETURN output;
END
$$
LANGUAGE plpgsql
VOLATILE;


CREATE OR REPLACE FUNCTION apalis.push_job(
    job_type text,
    job json DEFAULT NULL :: json,
    status text DEFAULT 'Pending' :: text,
    run_at timestamptz DEFAULT NOW() :: timestamptz,
    max_attempts integer DEFAULT 25 :: integer
) RETURNS apalis.jobs AS $$ 

        DECLARE 
            v_job_row apalis.jobs;
            v_job_id text;

        BEGIN
        IF job_type is not NULL and length(job_type) > 512 THEN raise exception 'Job_type is too long (max length: 512).' USING errcode = 'APAJT';
        END IF;

        IF max_attempts < 1 THEN raise exception 'Job maximum attempts must be at least 1.' USING errcode = 'APAMA';
        end IF;

        SELECT
            CONCAT('JID-' || generate_ulid()) INTO v_job_id;
        INSERT INTO
            apalis.jobs
        VALUES
            (
                job,
                v_job_id,
                job_type,
                status,
                0,
                max_attempts,
                run_at,
                NULL,
                NULL,
                NULL,
                NULL
            )
            returning * INTO v_job_row;
            RETURN v_job_row;
END;
$$ LANGUAGE plpgsql volatile;


$migration$;
insert into apalis._sqlx_migrations (version, description, success, checksum, execution_time)
values (20230330210841, 'replace add job fn', true, decode('d9b6e57e6de60db1647e2447cf36bf0eafbec266f1d482bd196affc97617efbc4c07bad826706c7b3a0b3960cf9f727b', 'hex'), 0);
end if;
end
$provision$;

do $provision$
begin
if not exists (select from apalis._sqlx_migrations where version = 20230408110421) then
execute $migration$DROP FUNCTION IF EXISTS apalis.push_job(
    job_type text,
    job json,
    job_id  text,
    status  text,
    run_at timestamptz,
    max_attempts integer
);$migration$;
insert into apalis._sqlx_migrations (version, description, success, checksum, execution_time)
values (20230408110421, 'drop old push job', true, decode('3656a91fe9c652ca23df775a601409a9252357f47088d6bcf2025fda2dd67e50c99ad94d1d2ca569c91c343189c58e33', 'hex'), 0);
end if;
end
$provision$;

do $provision$
begin
if not exists (select from apalis._sqlx_migrations where version = 20230408234928) then
execute $migration$DROP FUNCTION apalis.get_job(
        worker_id TEXT,
        v_job_type TEXT
    );

CREATE OR replace FUNCTION apalis.get_jobs(
        worker_id TEXT,
        v_job_type TEXT,
        v_job_count integer DEFAULT 5 :: integer
    ) returns setof apalis.jobs AS $$ BEGIN RETURN QUERY
UPDATE apalis.jobs
SET status = 'Running',
    lock_by = worker_id,
    lock_at = now()
WHERE id IN (
        SELECT id
        FROM apalis.jobs
        WHERE status = 'Pending'
            AND run_at < now()
            AND job_type = v_job_type
        ORDER BY run_at ASC
        limit v_job_count FOR
        UPDATE skip LOCKED
    )
returning *;
END;
$$ LANGUAGE plpgsql volatile;$migration$;
insert into apalis._sqlx_migrations (version, description, success, checksum, execution_time)
values (20230408234928, 'add get jobs fn ', true, decode('176c3acaf1097ff45da76d4c746af766640027b6721a056b3fc3fcc4ab8192344920b4415e8dae46f5136ee223ed5f6b', 'hex'), 0);
end if;
end
$provision$;

do $provision$
begin
if not exists (select from apalis._sqlx_migrations where version = 20240225141841) then
execute $migration$CREATE EXTENSION IF NOT EXISTS pgcrypto;

CREATE OR REPLACE FUNCTION  generate_ulid()
RETURNS TEXT
AS $$
DECLARE
  -- Crockford's Base32
  encoding   BYTEA = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
  timestamp  BYTEA = E'\\000\\000\\000\\000\\000\\000';
  output     TEXT = '';

  unix_time  BIGINT;
  ulid       BYTEA;
BEGIN
  -- 6 timestamp bytes
  unix_time = (EXTRACT(EPOCH FROM CLOCK_TIMESTAMP()) * 1000)::BIGINT;
  timestamp = SET_BYTE(timestamp, 0, (unix_time >> 40)::BIT(8)::INTEGER);
  timestamp = SET_BYTE(timestamp, 1, (unix_time >> 32)::BIT(8)::INTEGER);
  timestamp = SET_BYTE(timestamp, 2, (unix_time >> 24)::BIT(8)::INTEGER);
  timestamp = SET_BYTE(timestamp, 3, (unix_time >> 16)::BIT(8)::INTEGER);
  timestamp = SET_BYTE(timestamp, 4, (unix_time >> 8)::BIT(8)::INTEGER);
  timestamp = SET_BYTE(timestamp, 5, unix_time::BIT(8)::INTEGER);

  -- 10 entropy bytes
  ulid = timestamp || gen_random_bytes(10);

  -- Encode the timestamp
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 0) & 224) >> 5));
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 0) & 31)));
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 1) & 248) >> 3));
  output = output || CHR(GET_BYTE(encoding, ((GET_BYTE(ulid, 1) & 7) << 2) | ((GET_BYTE(ulid, 2) & 192) >> 6)));
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 2) & 62) >> 1));
  output = output || CHR(GET_BYTE(encoding, ((GET_BYTE(ulid, 2) & 1) << 4) | ((GET_BYTE(ulid, 3) & 240) >> 4)));
  output = output || CHR(GET_BYTE(encoding, ((GET_BYTE(ulid, 3) & 15) << 1) | ((GET_BYTE(ulid, 4) & 128) >> 7)));
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 4) & 124) >> 2));
  output = output || CHR(GET_BYTE(encoding, ((GET_BYTE(ulid, 4) & 3) << 3) | ((GET_BYTE(ulid, 5) & 224) >> 5)));
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 5) & 31)));

  -- Encode the entropy
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 6) & 248) >> 3));
  output = output || CHR(GET_BYTE(encoding, ((GET_BYTE(ulid, 6) & 7) << 2) | ((GET_BYTE(ulid, 7) & 192) >> 6)));
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 7) & 62) >> 1));
  output = output || CHR(GET_BYTE(encoding, ((GET_BYTE(ulid, 7) & 1) << 4) | ((GET_BYTE(ulid, 8) & 240) >> 4)));
  output = output || CHR(GET_BYTE(encoding, ((GET_BYTE(ulid, 8) & 15) << 1) | ((GET_BYTE(ulid, 9) & 128) >> 7)));
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 9) & 124) >> 2));
  output = output || CHR(GET_BYTE(encoding, ((GET_BYTE(ulid, 9) & 3) << 3) | ((GET_BYTE(ulid, 10) & 224) >> 5)));
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 10) & 31)));
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 11) & 248) >> 3));
  output = output || CHR(GET_BYTE(encoding, ((GET_BYTE(ulid, 11) & 7) << 2) | ((GET_BYTE(ulid, 12) & 192) >> 6)));
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 12) & 62) >> 1));
  output = output || CHR(GET_BYTE(encoding, ((GET_BYTE(ulid, 12) & 1) << 4) | ((GET_BYTE(ulid, 13) & 240) >> 4)));
  output = output || CHR(GET_BYTE(encoding, ((GET_BYTE(ulid, 13) & 15) << 1) | ((GET_BYTE(ulid, 14) & 128) >> 7)));
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 14) & 124) >> 2));
  output = output || CHR(GET_BYTE(encoding, ((GET_BYTE(ulid, 14) & 3) << 3) | ((GET_BYTE(ulid, 15) & 224) >> 5)));
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 15) & 31)));

  RETURN output;
END
$$
LANGUAGE plpgsql
VOLATILE;


CREATE OR REPLACE FUNCTION apalis.push_job(
    job_type text,
    job json DEFAULT NULL :: json,
    status text DEFAULT 'Pending' :: text,
    run_at timestamptz DEFAULT NOW() :: timestamptz,
    max_attempts integer DEFAULT 25 :: integer
) RETURNS apalis.jobs AS $$ 

        DECLARE 
            v_job_row apalis.jobs;
            v_job_id text;

        BEGIN
        IF job_type is not NULL and length(job_type) > 512 THEN raise exception 'Job_type is too long (max length: 512).' USING errcode = 'APAJT';
        END IF;

        IF max_attempts < 1 THEN raise exception 'Job maximum attempts must be at least 1.' USING errcode = 'APAMA';
        end IF;

        SELECT
            generate_ulid() INTO v_job_id;
        INSERT INTO
            apalis.jobs
        VALUES
            (
                job,
                v_job_id,
                job_type,
                status,
                0,
                max_attempts,
                run_at,
                NULL,
                NULL,
                NULL,
                NULL
            )
            returning * INTO v_job_row;
            RETURN v_job_row;
END;
$$ LANGUAGE plpgsql volatile;


$migration$;
insert into apalis._sqlx_migrations (version, description, success, checksum, execution_time)
values (20240225141841, 'replace add job fn remove jid', true, decode('c53560b7a312915d696ed6c7e18bda478d9bf1278c4d59e3c53b47c45d8a903f089c728a5ff2e131cd5b629cdfe7d4cb', 'hex'), 0);
end if;
end
$provision$;

do $provision$
begin
if not exists (select from apalis._sqlx_migrations where version = 20250210092135) then
execute $migration$DROP FUNCTION apalis.get_jobs(
        worker_id TEXT,
        v_job_type TEXT,
         v_job_count integer
    );

CREATE OR REPLACE FUNCTION apalis.get_jobs(
        worker_id TEXT,
        v_job_type TEXT,
        v_job_count integer DEFAULT 5 :: integer
    ) returns setof apalis.jobs AS $$ BEGIN RETURN QUERY
UPDATE apalis.jobs
SET status = 'Running',
    lock_by = worker_id,
    lock_at = now()
WHERE id IN (
        SELECT id
        FROM apalis.jobs
        WHERE status='Pending' OR (status = 'Failed' AND attempts < max_attempts)
            AND run_at < now()
            AND job_type = v_job_type
        ORDER BY run_at ASC
        limit v_job_count FOR
        UPDATE skip LOCKED
    )
returning *;
END;
$$ LANGUAGE plpgsql volatile;
$migration$;
insert into apalis._sqlx_migrations (version, description, success, checksum, execution_time)
values (20250210092135, 'include failed in get jobs', true, decode('810786bd8f1007bf523bec8ed9de0a9ae789e634e5434a1a5cc9c1b766bd758b4d37912ef390dcf95e8de23910eeef55', 'hex'), 0);
end if;
end
$provision$;

do $provision$
begin
if not exists (select from apalis._sqlx_migrations where version = 20250223193249) then
execute $migration$DROP FUNCTION apalis.get_jobs(
        worker_id TEXT,
        v_job_type TEXT,
        v_job_count integer
    );

CREATE OR REPLACE FUNCTION apalis.get_jobs(
        worker_id TEXT,
        v_job_type TEXT,
        v_job_count integer DEFAULT 5 :: integer
    ) RETURNS setof apalis.jobs AS $$ BEGIN RETURN QUERY
UPDATE apalis.jobs
SET status = 'Running',
    lock_by = worker_id,
    lock_at = now()
WHERE id IN (
        SELECT id
        FROM apalis.jobs
        WHERE (status='Pending' OR (status = 'Failed' AND attempts < max_attempts))
            AND run_at < now()
            AND job_type = v_job_type
        ORDER BY run_at ASC
        LIMIT v_job_count FOR
        UPDATE SKIP LOCKED
    )
returning *;
END;
$$ LANGUAGE plpgsql volatile;
$migration$;
insert into apalis._sqlx_migrations (version, description, success, checksum, execution_time)
values (20250223193249, 'fix get jobs conditional', true, decode('cfda3f3d62b4122b6321af0e45ba162fd3ad5d07f95e4eefe858600551167e31454ebd57d45b62e880336fcfef3ef2a7', 'hex'), 0);
end if;
end
$provision$;

do $provision$
begin
if not exists (select from apalis._sqlx_migrations where version = 20250307001101) then
execute $migration$ALTER TABLE apalis.jobs
ADD COLUMN priority INTEGER DEFAULT 0;

DROP FUNCTION apalis.get_jobs(
        worker_id TEXT,
        v_job_type TEXT,
        v_job_count integer
    );

CREATE OR REPLACE FUNCTION apalis.get_jobs(
        worker_id TEXT,
        v_job_type TEXT,
        v_job_count integer DEFAULT 5 :: integer
    ) RETURNS setof apalis.jobs AS $$ BEGIN RETURN QUERY
UPDATE apalis.jobs
SET status = 'Running',
    lock_by = worker_id,
    lock_at = now()
WHERE id IN (
        SELECT id
        FROM apalis.jobs
        WHERE (status='Pending' OR (status = 'Failed' AND attempts < max_attempts))
            AND run_at < now()
            AND job_type = v_job_type
        ORDER BY priority DESC, run_at ASC
        LIMIT v_job_count FOR
        UPDATE SKIP LOCKED
    )
returning *;
END;
$$ LANGUAGE plpgsql volatile;

CREATE OR REPLACE FUNCTION apalis.push_job(
    job_type text,
    job json DEFAULT NULL :: json,
    status text DEFAULT 'Pending' :: text,
    run_at timestamptz DEFAULT NOW() :: timestamptz,
    max_attempts integer DEFAULT 25 :: integer,
    priority integer DEFAULT 0 :: integer
) RETURNS apalis.jobs AS $$ 

        DECLARE 
            v_job_row apalis.jobs;
            v_job_id text;

        BEGIN
        IF job_type is not NULL and length(job_type) > 512 THEN raise exception 'Job_type is too long (max length: 512).' USING errcode = 'APAJT';
        END IF;

        IF max_attempts < 1 THEN raise exception 'Job maximum attempts must be at least 1.' USING errcode = 'APAMA';
        end IF;

        SELECT
            generate_ulid() INTO v_job_id;
        INSERT INTO
            apalis.jobs
        VALUES
            (
                job,
                v_job_id,
                job_type,
                status,
                0,
                max_attempts,
                run_at,
                NULL,
                NULL,
                NULL,
                NULL,
                priority
            )
            returning * INTO v_job_row;
            RETURN v_job_row;
END;
$$ LANGUAGE plpgsql volatile;
$migration$;
insert into apalis._sqlx_migrations (version, description, success, checksum, execution_time)
values (20250307001101, 'add job priority', true, decode('b5d318f2da5e909d66db190f58b76ae52f6808733d2a88d180555430d28518fee783fb0ff1e1c37ed1dc79627abd9694', 'hex'), 0);
end if;
end
$provision$;

do $provision$
begin
if not exists (select from apalis._sqlx_migrations where version = 20250404160441) then
execute $migration$DROP FUNCTION IF EXISTS apalis.push_job(
    job_type text,
    job json,
    status text,
    run_at timestamptz,
    max_attempts integer
);
$migration$;
insert into apalis._sqlx_migrations (version, description, success, checksum, execution_time)
values (20250404160441, 'cleanup old push jobs fn', true, decode('962242ef0971de54905cafbdefe26a3c1f32c1c52ef13b6937c2920445b1ce97cd2dcf7db9c293becc95dc55412e7a15', 'hex'), 0);
end if;
end
$provision$;

do $provision$
begin
if not exists (select from apalis._sqlx_migrations where version = 20250722071207) then
execute $migration$DROP TRIGGER IF EXISTS notify_workers ON apalis.jobs;
DROP FUNCTION IF EXISTS apalis.notify_new_jobs;

CREATE FUNCTION apalis.notify_new_jobs() RETURNS TRIGGER AS $$
BEGIN
    IF NEW.run_at <= now() THEN
        PERFORM pg_notify(
            'apalis::job::insert',
            json_build_object(
                'job_type', NEW.job_type,
                'id', NEW.id
            )::text
        );
    END IF;
    RETURN NEW;
END;
$$ LANGUAGE plpgsql;

CREATE TRIGGER notify_workers 
AFTER INSERT ON apalis.jobs 
FOR EACH ROW EXECUTE FUNCTION apalis.notify_new_jobs();
$migration$;
insert into apalis._sqlx_migrations (version, description, success, checksum, execution_time)
values (20250722071207, 'improve notify', true, decode('b3a1f712f8fbdfe38004134d8f55e49857b764f3277f38dd9d13299d5e0afbc895005b62fa0355b8a0d8595a38be6db7', 'hex'), 0);
end if;
end
$provision$;

do $provision$
begin
if not exists (select from apalis._sqlx_migrations where version = 20251018164839) then
execute $migration$ALTER TABLE apalis.jobs 
RENAME COLUMN last_error TO last_result;

ALTER TABLE apalis.jobs 
    ALTER COLUMN last_result
SET DATA TYPE jsonb
USING last_result::jsonb;
$migration$;
insert into apalis._sqlx_migrations (version, description, success, checksum, execution_time)
values (20251018164839, 'update result', true, decode('e4e3d1efc77746e4db164b49017c90785613b35520da84f9a5a3f8981d60420d9dec3c94af9e8632ab711ffac7c1e199', 'hex'), 0);
end if;
end
$provision$;

do $provision$
begin
if not exists (select from apalis._sqlx_migrations where version = 20251018164912) then
execute $migration$ALTER TABLE
    apalis.jobs
ADD
    COLUMN metadata jsonb;
$migration$;
insert into apalis._sqlx_migrations (version, description, success, checksum, execution_time)
values (20251018164912, 'add metadata', true, decode('803a4510201392a36e20ef81c9b05230ffa734a292c875f87ea65bc73944642b1d260a38741c4bdb88c0096338c152c0', 'hex'), 0);
end if;
end
$provision$;

do $provision$
begin
if not exists (select from apalis._sqlx_migrations where version = 20251018165007) then
execute $migration$ALTER TABLE
    apalis.jobs
ALTER COLUMN
    job TYPE bytea USING convert_to(job::text, 'UTF8');
$migration$;
insert into apalis._sqlx_migrations (version, description, success, checksum, execution_time)
values (20251018165007, 'move to bytes', true, decode('dcbb8181c56cc4b9511ddc940f81f5bb9420436d0f4edf1bc9978011324e6b8d5437c50830b8651e2168608d04977272', 'hex'), 0);
end if;
end
$provision$;

do $provision$
begin
if not exists (select from apalis._sqlx_migrations where version = 20251018165033) then
execute $migration$ALTER TABLE
    apalis.workers
ADD
    COLUMN started_at TIMESTAMP WITH TIME ZONE;
$migration$;
insert into apalis._sqlx_migrations (version, description, success, checksum, execution_time)
values (20251018165033, 'add started at', true, decode('21b1264f3881a4cf4fb209ff2cc75c21946441691745d7cbc9ab1dd812a1e1c08648e47ea8b4de060784da581dab2246', 'hex'), 0);
end if;
end
$provision$;

do $provision$
begin
if not exists (select from apalis._sqlx_migrations where version = 20251018165056) then
execute $migration$DROP FUNCTION apalis.get_jobs(
        worker_id TEXT,
        v_job_type TEXT,
        v_job_count integer
    );

CREATE OR REPLACE FUNCTION apalis.get_jobs(
        worker_id TEXT,
        v_job_type TEXT,
        v_job_count integer DEFAULT 5 :: integer
    ) RETURNS setof apalis.jobs AS $$ BEGIN RETURN QUERY
UPDATE apalis.jobs
SET status = 'Queued',
    lock_by = worker_id,
    lock_at = now()
WHERE id IN (
        SELECT id
        FROM apalis.jobs
        WHERE (status='Pending' OR (status = 'Failed' AND attempts < max_attempts))
            AND run_at < now()
            AND job_type = v_job_type
        ORDER BY priority DESC, run_at ASC
        LIMIT v_job_count FOR
        UPDATE SKIP LOCKED
    )
returning *;
END;
$$ LANGUAGE plpgsql volatile;
$migration$;
insert into apalis._sqlx_migrations (version, description, success, checksum, execution_time)
values (20251018165056, 'queue jobs', true, decode('dd02b7e9c23a7da0f71bff73b469c51b7305d1830e7f4bd6de083c11315e8492801e242755d9981381760a5ace6d8fe7', 'hex'), 0);
end if;
end
$provision$;

do $provision$
begin
if not exists (select from apalis._sqlx_migrations where version = 20251018165121) then
execute $migration$DROP TRIGGER IF EXISTS notify_workers ON apalis.jobs;
DROP FUNCTION IF EXISTS apalis.notify_new_jobs;

CREATE FUNCTION apalis.notify_new_jobs() RETURNS TRIGGER AS $$
BEGIN
    IF NEW.run_at <= now() THEN
        PERFORM pg_notify(
            'apalis::job::insert',
            json_build_object(
                'job_type', NEW.job_type,
                'id', NEW.id,
                'run_at', NEW.run_at
            )::text
        );
    END IF;
    RETURN NEW;
END;
$$ LANGUAGE plpgsql;

CREATE TRIGGER notify_workers 
AFTER INSERT ON apalis.jobs 
FOR EACH ROW EXECUTE FUNCTION apalis.notify_new_jobs();
$migration$;
insert into apalis._sqlx_migrations (version, description, success, checksum, execution_time)
values (20251018165121, 'notify run at', true, decode('a99e6c60687ec15c1bf8132763db63a0d9d18e1ee814527254fc95ee733e65bdf2f0ae64ca86cae0d1f232654d189fda', 'hex'), 0);
end if;
end
$provision$;

do $provision$
begin
if not exists (select from apalis._sqlx_migrations where version = 20251225090252) then
execute $migration$ALTER TABLE apalis.jobs ADD PRIMARY KEY (id);
ALTER TABLE apalis.workers ADD PRIMARY KEY (id);
$migration$;
insert into apalis._sqlx_migrations (version, description, success, checksum, execution_time)
values (20251225090252, 'include primary keys', true, decode('fd9f16bd772c5682ecb3f6b0a21efed5581a85316770ab8d620b38346e9319ae239ef784e8eb46735d6be735e7b3b5be', 'hex'), 0);
end if;
end
$provision$;

do $provision$
begin
if not exists (select from apalis._sqlx_migrations where version = 20260508093314) then
execute $migration$ALTER TABLE
    apalis.jobs
ADD
    COLUMN idempotency_key TEXT;

CREATE UNIQUE INDEX idx_jobs_idempotency_key ON apalis.jobs(job_type, idempotency_key);
$migration$;
insert into apalis._sqlx_migrations (version, description, success, checksum, execution_time)
values (20260508093314, 'idempotency key', true, decode('f2686534e1abbba2fcde715c1ca724e7937a4e1f49d6a9a462ed4f1c2e8b83518f4f78868a111d6451afba770207c2d0', 'hex'), 0);
end if;
end
$provision$;

do $provision$
begin
if not exists (select from apalis._sqlx_migrations where version = 20260605000000) then
execute $migration$-- Confine generate_ulid() to the apalis schema and drop its pgcrypto dependency.
--
-- The ULID's 10 random bytes now come from core gen_random_uuid() (pg_catalog,
-- available since PostgreSQL 13) instead of pgcrypto's gen_random_bytes(). This
-- means the function no longer needs the pgcrypto extension or a pinned
-- search_path, and nothing apalis creates from here on touches `public`.
--
-- pgcrypto is intentionally left untouched: apalis no longer uses it, but an
-- earlier apalis version installed it in `public` and it may be relied upon
-- elsewhere. If nothing else in your database needs it you can remove it with
-- `DROP EXTENSION pgcrypto;`.

CREATE OR REPLACE FUNCTION apalis.generate_ulid()
RETURNS TEXT
AS $$
DECLARE
  -- Crockford's Base32
  encoding   BYTEA = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
  timestamp  BYTEA = E'\\000\\000\\000\\000\\000\\000';
  output     TEXT = '';

  unix_time  BIGINT;
  ulid       BYTEA;
  rand       BYTEA;
BEGIN
  -- 6 timestamp bytes
  unix_time = (EXTRACT(EPOCH FROM CLOCK_TIMESTAMP()) * 1000)::BIGINT;
  timestamp = SET_BYTE(timestamp, 0, (unix_time >> 40)::BIT(8)::INTEGER);
  timestamp = SET_BYTE(timestamp, 1, (unix_time >> 32)::BIT(8)::INTEGER);
  timestamp = SET_BYTE(timestamp, 2, (unix_time >> 24)::BIT(8)::INTEGER);
  timestamp = SET_BYTE(timestamp, 3, (unix_time >> 16)::BIT(8)::INTEGER);
  timestamp = SET_BYTE(timestamp, 4, (unix_time >> 8)::BIT(8)::INTEGER);
  timestamp = SET_BYTE(timestamp, 5, unix_time::BIT(8)::INTEGER);

  -- 10 entropy bytes, taken from a core gen_random_uuid(). Bytes 1-6 and 11-14
  -- of the UUID are fully random (we skip the version/variant bytes at offsets
  -- 7 and 9), preserving the full 80 bits of ULID entropy.
  rand = uuid_send(gen_random_uuid());
  ulid = timestamp || substr(rand, 1, 6) || substr(rand, 11, 4);

  -- Encode the timestamp
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 0) & 224) >> 5));
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 0) & 31)));
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 1) & 248) >> 3));
  output = output || CHR(GET_BYTE(encoding, ((GET_BYTE(ulid, 1) & 7) << 2) | ((GET_BYTE(ulid, 2) & 192) >> 6)));
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 2) & 62) >> 1));
  output = output || CHR(GET_BYTE(encoding, ((GET_BYTE(ulid, 2) & 1) << 4) | ((GET_BYTE(ulid, 3) & 240) >> 4)));
  output = output || CHR(GET_BYTE(encoding, ((GET_BYTE(ulid, 3) & 15) << 1) | ((GET_BYTE(ulid, 4) & 128) >> 7)));
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 4) & 124) >> 2));
  output = output || CHR(GET_BYTE(encoding, ((GET_BYTE(ulid, 4) & 3) << 3) | ((GET_BYTE(ulid, 5) & 224) >> 5)));
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 5) & 31)));

  -- Encode the entropy
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 6) & 248) >> 3));
  output = output || CHR(GET_BYTE(encoding, ((GET_BYTE(ulid, 6) & 7) << 2) | ((GET_BYTE(ulid, 7) & 192) >> 6)));
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 7) & 62) >> 1));
  output = output || CHR(GET_BYTE(encoding, ((GET_BYTE(ulid, 7) & 1) << 4) | ((GET_BYTE(ulid, 8) & 240) >> 4)));
  output = output || CHR(GET_BYTE(encoding, ((GET_BYTE(ulid, 8) & 15) << 1) | ((GET_BYTE(ulid, 9) & 128) >> 7)));
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 9) & 124) >> 2));
  output = output || CHR(GET_BYTE(encoding, ((GET_BYTE(ulid, 9) & 3) << 3) | ((GET_BYTE(ulid, 10) & 224) >> 5)));
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 10) & 31)));
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 11) & 248) >> 3));
  output = output || CHR(GET_BYTE(encoding, ((GET_BYTE(ulid, 11) & 7) << 2) | ((GET_BYTE(ulid, 12) & 192) >> 6)));
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 12) & 62) >> 1));
  output = output || CHR(GET_BYTE(encoding, ((GET_BYTE(ulid, 12) & 1) << 4) | ((GET_BYTE(ulid, 13) & 240) >> 4)));
  output = output || CHR(GET_BYTE(encoding, ((GET_BYTE(ulid, 13) & 15) << 1) | ((GET_BYTE(ulid, 14) & 128) >> 7)));
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 14) & 124) >> 2));
  output = output || CHR(GET_BYTE(encoding, ((GET_BYTE(ulid, 14) & 3) << 3) | ((GET_BYTE(ulid, 15) & 224) >> 5)));
  output = output || CHR(GET_BYTE(encoding, (GET_BYTE(ulid, 15) & 31)));

  RETURN output;
END
$$
LANGUAGE plpgsql
VOLATILE;

-- Repoint the (legacy) push_job helper at the confined function. push_job is not
-- used by the driver itself (tasks are inserted via queries/task/sink.sql); this
-- only updates its generate_ulid() reference and otherwise leaves it unchanged.
CREATE OR REPLACE FUNCTION apalis.push_job(
    job_type text,
    job json DEFAULT NULL :: json,
    status text DEFAULT 'Pending' :: text,
    run_at timestamptz DEFAULT NOW() :: timestamptz,
    max_attempts integer DEFAULT 25 :: integer,
    priority integer DEFAULT 0 :: integer
) RETURNS apalis.jobs AS $$

        DECLARE
            v_job_row apalis.jobs;
            v_job_id text;

        BEGIN
        IF job_type is not NULL and length(job_type) > 512 THEN raise exception 'Job_type is too long (max length: 512).' USING errcode = 'APAJT';
        END IF;

        IF max_attempts < 1 THEN raise exception 'Job maximum attempts must be at least 1.' USING errcode = 'APAMA';
        end IF;

        SELECT
            apalis.generate_ulid() INTO v_job_id;
        INSERT INTO
            apalis.jobs
        VALUES
            (
                job,
                v_job_id,
                job_type,
                status,
                0,
                max_attempts,
                run_at,
                NULL,
                NULL,
                NULL,
                NULL,
                priority
            )
            returning * INTO v_job_row;
            RETURN v_job_row;
END;
$$ LANGUAGE plpgsql volatile;

-- Remove the public copy now that nothing references it.
DROP FUNCTION IF EXISTS public.generate_ulid();
$migration$;
insert into apalis._sqlx_migrations (version, description, success, checksum, execution_time)
values (20260605000000, 'confine generate ulid to apalis', true, decode('c56dbd61156387934579af19b51ba95bd0cbe203f9528f0cd619c191730788858eca89044a7aa0622d308b9a3028e2c5', 'hex'), 0);
end if;
end
$provision$;

do $provision$
begin
if not exists (select from apalis._sqlx_migrations where version = 20260824233636) then
execute $migration$DROP INDEX IF EXISTS apalis.TIdx;

DROP INDEX IF EXISTS apalis.SIdx;

DROP INDEX IF EXISTS apalis.JTIdx;

DROP INDEX IF EXISTS apalis.Idx;

CREATE INDEX IF NOT EXISTS idx_apalis_jobs_fetch_partial ON apalis.jobs (
    job_type,
    priority DESC,
    run_at ASC
)
WHERE
    status = 'Pending'
    OR (
        status = 'Failed'
        AND attempts < max_attempts
    );

CREATE INDEX IF NOT EXISTS idx_apalis_jobs_lock_by ON apalis.jobs (lock_by);

-- Keeps worker heartbeats fast
CREATE INDEX IF NOT EXISTS idx_apalis_workers_last_seen ON apalis.workers (last_seen);

CREATE INDEX IF NOT EXISTS idx_apalis_workers_worker_type ON apalis.workers (worker_type);
$migration$;
insert into apalis._sqlx_migrations (version, description, success, checksum, execution_time)
values (20260824233636, 'streamline indices', true, decode('09c57f5bd9cce210564e8b12da0520289290ad729ef4205cdd55bd2a60ac85f889df8c23b20a4a01d959f0c8b5775a6d', 'hex'), 0);
end if;
end
$provision$;

do $provision$
begin
if not exists (select from apalis._sqlx_migrations where version = 20260826101335) then
execute $migration$CREATE EXTENSION IF NOT EXISTS hstore;

ALTER TABLE
    apalis.jobs
ADD
    COLUMN metadata_hstore hstore;

UPDATE
    apalis.jobs
SET
    metadata_hstore = (
        SELECT
            hstore(array_agg(key), array_agg(value))
        FROM
            jsonb_each_text(metadata)
    );

ALTER TABLE
    apalis.jobs DROP COLUMN metadata;

ALTER TABLE
    apalis.jobs RENAME COLUMN metadata_hstore TO metadata;
$migration$;
insert into apalis._sqlx_migrations (version, description, success, checksum, execution_time)
values (20260826101335, 'metadata hstore', true, decode('cc38c9e6fd38157b443f6dd584e322405d49dedfd3a60867604102078a99320f97279e6c244cb87f84152ab9be7d41be', 'hex'), 0);
end if;
end
$provision$;

do $provision$
begin
if not exists (select from apalis._sqlx_migrations where version = 20260902075949) then
execute $migration$CREATE OR REPLACE FUNCTION apalis.get_jobs(
    worker_id TEXT,
    v_job_type TEXT,
    v_job_count INTEGER DEFAULT 5
)
RETURNS SETOF apalis.jobs
LANGUAGE sql
VOLATILE
AS $$
    WITH jobs AS (
        SELECT id
        FROM apalis.jobs
        WHERE
            (
                status = 'Pending'
                OR (
                    status = 'Failed'
                    AND attempts < max_attempts
                )
            )
            AND run_at < now()
            AND job_type = v_job_type
        ORDER BY priority DESC, run_at ASC
        LIMIT v_job_count
        FOR UPDATE SKIP LOCKED
    )
    UPDATE apalis.jobs j
    SET
        status = 'Queued',
        lock_by = worker_id,
        lock_at = now()
    FROM jobs
    WHERE j.id = jobs.id
    RETURNING j.*;
$$;
$migration$;
insert into apalis._sqlx_migrations (version, description, success, checksum, execution_time)
values (20260902075949, 'remove pl in get jobs', true, decode('0dc0483d69bf530508d451bec9346f7d14be68c37308b130910462d130cab0827eb2825d20072105c83ae3a66ed82c6b', 'hex'), 0);
end if;
end
$provision$;

create index if not exists idx_tidewell_jobs_ended on apalis.jobs (done_at) where done_at is not null;
alter table apalis.jobs set (autovacuum_vacuum_scale_factor = 0.01, autovacuum_analyze_scale_factor = 0.02);

commit;

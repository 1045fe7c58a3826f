-- Table sync, as far as its users see it: backends, jobs, runs and how fresh each job is. `typesense.sql` is this same text: it may be
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

-- What the documents of a sync job are embedded from, and by which model; null: they have no vectors.
alter table public.typesense_sync_jobs add column if not exists embedding jsonb;

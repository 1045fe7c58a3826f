-- What the documents of a sync job are embedded from, and by which model; null: they have no vectors.
alter table public.typesense_sync_jobs add column if not exists embedding jsonb;

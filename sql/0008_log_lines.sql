-- What the processes say of one job, reindex, sync job or run, so that whoever looks into it need not go to the machines they run on.

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

-- Who may call and how much: plans, organizations with their wallets and usage, indexes, keys.

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

-- What went through, minute by minute, for pictures of the last hour. The worker that looks first in a minute writes its row.
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

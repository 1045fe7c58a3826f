-- Vectors of texts, so that none is made twice, and documents that were written without one.

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

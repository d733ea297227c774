-- Uploads that can be resumed: what of them is stored. `parts` are the entity tags of the whole parts; what came behind
-- the last of them lies in an object of its own, `tail`.
CREATE TABLE uploads (
    dataset_id text PRIMARY KEY,
    owner text NOT NULL,
    filename text NOT NULL,
    format text,
    length bigint NOT NULL,
    s3_upload text,
    parts text[] NOT NULL DEFAULT '{}',
    tail text,
    tail_bytes bigint NOT NULL DEFAULT 0,
    -- Grows with every request that sends bytes: whoever shows an older one has been overtaken.
    fence bigint NOT NULL DEFAULT 0,
    -- 'receiving' until all bytes are there, 'stored' until the registry has answered, then 'entered' or 'refused'.
    status text NOT NULL DEFAULT 'receiving' CHECK (status IN ('receiving', 'stored', 'entered', 'refused')),
    -- The data set it became; another one where this very content was there already.
    became text,
    refusal jsonb,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX uploads_by_end ON uploads (expires_at);

-- Each opens one stream as its caller, for clients that can show neither a key nor a cookie. `digest` is its SHA-256.
CREATE TABLE tickets (
    digest bytea PRIMARY KEY,
    principal jsonb NOT NULL,
    ends_at timestamptz NOT NULL
);

CREATE INDEX tickets_ended ON tickets (ends_at);

-- Completions that were asked for with an idempotency key, kept for as long as a caller may ask again.
CREATE TABLE kept_completions (
    principal text NOT NULL,
    key text NOT NULL,
    -- Of the question: another question with the same key is a mistake.
    fingerprint bytea NOT NULL,
    -- JSON; NULL while the completion is being made.
    reply bytea,
    -- Who makes it, and until when nobody else may.
    holder uuid NOT NULL,
    held_until timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (principal, key)
);
CREATE INDEX kept_completions_expiry ON kept_completions (expires_at);

-- Keys that callers hold. The secret itself is nowhere: `digest` is the SHA-256 of its 256 random bits.
-- Revoked keys stay, so that the principal of an old record still has a name.
CREATE TABLE api_keys (
    key_id text PRIMARY KEY,
    digest bytea NOT NULL,
    name text NOT NULL,
    role text NOT NULL CHECK (role IN ('admin', 'member', 'viewer')),
    response_style text NOT NULL CHECK (response_style IN ('envelope', 'plain')),
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    revoked_at timestamptz
);

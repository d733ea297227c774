-- People who log in. `password` is an argon2id hash with its parameters.
CREATE TABLE users (
    user_id text PRIMARY KEY,
    name text NOT NULL,
    password text NOT NULL,
    role text NOT NULL CHECK (role IN ('admin', 'member', 'viewer')),
    disabled boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE UNIQUE INDEX users_name ON users (lower(name));

-- Whoever shows a cookie whose SHA-256 is `digest` is the user, until `ends_at`, or earlier when not seen for too long.
CREATE TABLE sessions (
    digest bytea PRIMARY KEY,
    user_id text NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ends_at timestamptz NOT NULL
);

CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_ended ON sessions (ends_at);

-- What an agent made of which content. A step with a key that is here is answered from here, as long as the objects of
-- its output (path → fingerprint) are what they were.
CREATE TABLE artifacts (
    content_key text PRIMARY KEY,
    agent_class text NOT NULL,
    output jsonb NOT NULL,
    objects jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

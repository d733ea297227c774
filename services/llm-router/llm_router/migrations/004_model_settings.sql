-- What an administrator has said about models, by the name they are asked by. NULL leaves it to what is known.
CREATE TABLE model_settings (
    model text PRIMARY KEY,
    fallbacks text[] NOT NULL DEFAULT '{}',
    context_size integer,
    capabilities text[],
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

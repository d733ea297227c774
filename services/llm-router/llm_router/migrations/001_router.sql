-- Engines: the declared ones, brought up to date at every start, and the one that the configuration describes.
CREATE TABLE engines (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    provider_type text NOT NULL,
    api_base text NOT NULL,
    port integer,
    concurrency integer NOT NULL,
    declared boolean NOT NULL,
    -- May not be reached on a private address: somebody who is no administrator chose the address.
    guarded boolean NOT NULL DEFAULT false,
    -- Encrypted with the platform's key.
    token bytea,
    last_used timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Which engine and model answer when a request names none. NULL leaves the choice to the platform.
CREATE TABLE config (
    id integer PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    revision bigint NOT NULL DEFAULT 0,
    engine text,
    model text,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO config DEFAULT VALUES;

-- A lasting number for every name that could ever be asked for, and the engine that last listed it.
CREATE TABLE served_models (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    provider text NOT NULL,
    max_tokens integer NOT NULL,
    engine text,
    parent text,
    model_id text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Every completion of any route, written in batches from JetStream.
CREATE TABLE interactions (
    interaction_id text PRIMARY KEY,
    route text NOT NULL,
    model text NOT NULL,
    engine text,
    input_text text NOT NULL,
    output_text text NOT NULL,
    parameters jsonb NOT NULL,
    status text NOT NULL,
    error_message text,
    prompt_tokens integer NOT NULL,
    completion_tokens integer NOT NULL,
    duration double precision NOT NULL,
    time_to_first_token double precision,
    principal text,
    trace_id text,
    created_at timestamptz NOT NULL
);
CREATE INDEX interactions_newest ON interactions (created_at DESC);

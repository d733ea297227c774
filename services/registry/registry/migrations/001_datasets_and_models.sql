-- Uploaded data sets, found out about once and never changed. `json` rather than `jsonb`, to keep the order of columns.
CREATE TABLE datasets (
    number bigint GENERATED ALWAYS AS IDENTITY UNIQUE, -- order of entry
    dataset_id text PRIMARY KEY,
    filename text NOT NULL,
    format text NOT NULL,
    size_bytes bigint NOT NULL,
    sha256 text NOT NULL,
    s3_path text NOT NULL,
    analysis json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The first rows, apart from what lists read. A data set never changes, so a preview needs no look at the file.
CREATE TABLE dataset_samples (
    dataset_id text PRIMARY KEY REFERENCES datasets ON DELETE CASCADE,
    samples json NOT NULL
);

-- Trained models. `idempotency_key` is the run and step that registers, so that a repeated call enters nothing.
CREATE TABLE models (
    number bigint GENERATED ALWAYS AS IDENTITY UNIQUE, -- order of entry: of one name the highest is served
    model_id text PRIMARY KEY,
    idempotency_key text NOT NULL UNIQUE,
    run_id text NOT NULL,
    model_name text NOT NULL,
    description text NOT NULL,
    base_model text NOT NULL,
    dataset_id text,
    training_config json NOT NULL,
    metrics json NOT NULL,
    exports json NOT NULL,
    chat_template text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX models_of_name ON models (model_name, number DESC);
CREATE INDEX models_of_base ON models (base_model, number DESC);

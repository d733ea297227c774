-- Versions of a name, what is served of it, and what was checked. `json` keeps the order it was told in.
ALTER TABLE models
    ADD COLUMN version integer,
    ADD COLUMN tags text[] NOT NULL DEFAULT '{}',
    -- 'automatic' since it was registered, 'requested' by somebody, or 'none'.
    ADD COLUMN deployment text NOT NULL DEFAULT 'automatic',
    ADD COLUMN files json NOT NULL DEFAULT '[]',
    ADD COLUMN checks json NOT NULL DEFAULT '[]',
    ADD COLUMN lineage json NOT NULL DEFAULT '[]',
    -- When what the router needs to know of it last changed: see `serving`.
    ADD COLUMN revision bigint,
    -- A deleted model stays as a row, so that its version is not given again and its registration not repeated.
    ADD COLUMN deleted_at timestamptz;

UPDATE models SET revision = number, version = counted.version
    FROM (SELECT model_id, row_number() OVER (PARTITION BY model_name ORDER BY number) AS version FROM models) AS counted
    WHERE counted.model_id = models.model_id;
ALTER TABLE models
    ALTER COLUMN version SET NOT NULL,
    ALTER COLUMN revision SET NOT NULL,
    ADD CONSTRAINT models_versions UNIQUE (model_name, version);
CREATE INDEX models_by_revision ON models (revision);

-- The one counter of revisions. Whoever changes anything about models takes its row first, so revisions are in the order
-- of commits, and changes wait for each other.
CREATE TABLE serving (
    id integer PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    revision bigint NOT NULL
);
INSERT INTO serving (revision) SELECT coalesce(max(number), 0) FROM models;

-- Names that move between versions. One that is removed stays, without its model, until routers have heard of it.
CREATE TABLE aliases (
    model_name text NOT NULL,
    alias text NOT NULL,
    model_id text REFERENCES models,
    revision bigint NOT NULL,
    PRIMARY KEY (model_name, alias)
);
CREATE INDEX aliases_of_model ON aliases (model_id);
CREATE INDEX aliases_by_revision ON aliases (revision);

-- Where a model's objects lie. Runs that reuse a result share them, so they are freed with the last model that has them.
CREATE TABLE model_paths (
    path text NOT NULL,
    model_id text NOT NULL REFERENCES models,
    PRIMARY KEY (path, model_id)
);
INSERT INTO model_paths (path, model_id)
    SELECT DISTINCT export.value, model_id FROM models, json_each_text(exports) AS export;

-- What is to be removed from the object store. A row goes once it is.
CREATE TABLE freeing (
    path text PRIMARY KEY,
    since timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The losses of a model's training, read once from the run's log: `[{"step", "loss", "eval_loss"}]`.
CREATE TABLE loss_curves (
    model_id text PRIMARY KEY REFERENCES models,
    points json NOT NULL
);

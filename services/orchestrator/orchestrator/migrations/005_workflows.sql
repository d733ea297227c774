-- Blocks, payloads and workflows (document C). What a version says never changes; a definition is its newest version.
-- Deleted ones are kept for the versions and the runs that name them.
CREATE TABLE blocks (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);

CREATE TABLE block_versions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    block bigint NOT NULL REFERENCES blocks,
    version integer NOT NULL,
    title text NOT NULL,
    content text NOT NULL,
    tags text NOT NULL,
    folder_path text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (block, version)
);

CREATE TABLE payloads (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);

CREATE TABLE payload_versions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payload bigint NOT NULL REFERENCES payloads,
    version integer NOT NULL,
    name text NOT NULL,
    temperature double precision NOT NULL,
    response_length integer NOT NULL,
    llm_port integer NOT NULL,
    model_format text NOT NULL,
    -- What document C leaves open: dependencies, retries, timeout, fallback, condition and so on, where they are given.
    options jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (payload, version)
);

CREATE TABLE payload_blocks (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payload_version bigint NOT NULL REFERENCES payload_versions,
    order_index integer NOT NULL,
    block bigint NOT NULL REFERENCES blocks,
    UNIQUE (payload_version, order_index)
);

CREATE INDEX payload_blocks_users ON payload_blocks (block);

CREATE TABLE workflows (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);

CREATE TABLE workflow_versions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workflow bigint NOT NULL REFERENCES workflows,
    version integer NOT NULL,
    name text NOT NULL,
    -- The inputs of a run by name, with their defaults; null where none are declared.
    inputs jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (workflow, version)
);

CREATE TABLE workflow_payloads (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workflow_version bigint NOT NULL REFERENCES workflow_versions,
    order_index integer NOT NULL,
    payload bigint NOT NULL REFERENCES payloads,
    UNIQUE (workflow_version, order_index)
);

CREATE INDEX workflow_payloads_users ON workflow_payloads (payload);

CREATE TRIGGER block_versions_never_change BEFORE UPDATE OR DELETE ON block_versions FOR EACH ROW
    EXECUTE FUNCTION refuse_change('it never changes');
CREATE TRIGGER payload_versions_never_change BEFORE UPDATE OR DELETE ON payload_versions FOR EACH ROW
    EXECUTE FUNCTION refuse_change('it never changes');
CREATE TRIGGER payload_blocks_never_change BEFORE UPDATE OR DELETE ON payload_blocks FOR EACH ROW
    EXECUTE FUNCTION refuse_change('it never changes');
CREATE TRIGGER workflow_versions_never_change BEFORE UPDATE OR DELETE ON workflow_versions FOR EACH ROW
    EXECUTE FUNCTION refuse_change('it never changes');
CREATE TRIGGER workflow_payloads_never_change BEFORE UPDATE OR DELETE ON workflow_payloads FOR EACH ROW
    EXECUTE FUNCTION refuse_change('it never changes');

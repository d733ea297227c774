-- Versions of a name by content, compressed files, and where to begin reading for a page of rows.
ALTER TABLE datasets
    ADD COLUMN version integer,
    ADD COLUMN compression text;

UPDATE datasets SET version = counted.version
    FROM (SELECT dataset_id, row_number() OVER (PARTITION BY filename ORDER BY number) AS version FROM datasets)
        AS counted
    WHERE counted.dataset_id = datasets.dataset_id;
ALTER TABLE datasets
    ALTER COLUMN version SET NOT NULL,
    ADD CONSTRAINT datasets_versions UNIQUE (filename, version);
CREATE INDEX datasets_of_content ON datasets (sha256);

-- How many versions of a name there have been: the number of a deleted one is not given again. Its row is also what
-- uploads of one name wait in turn for.
CREATE TABLE dataset_names (
    filename text PRIMARY KEY,
    versions integer NOT NULL
);
INSERT INTO dataset_names SELECT filename, max(version) FROM datasets GROUP BY filename;

-- `[{"row", "offset"}]`: rows of the file from which on it can be read. Empty where it can only be read from its start.
ALTER TABLE dataset_samples ADD COLUMN marks json NOT NULL DEFAULT '[]';

CREATE INDEX models_of_dataset ON models (dataset_id) WHERE dataset_id IS NOT NULL;

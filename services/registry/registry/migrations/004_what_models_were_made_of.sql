-- What a model was made of goes with it too: its prepared rows and the report of its evaluation.
INSERT INTO model_paths (path, model_id)
    SELECT DISTINCT rtrim(told.path, '/'), model_id
    FROM models, json_array_elements(lineage) AS step,
        LATERAL (VALUES (step ->> 'path'), (step -> 'details' ->> 'eval_path')) AS told (path)
    WHERE deleted_at IS NULL AND step ->> 'kind' IN ('evaluation', 'preprocessing', 'dataset')
        AND told.path LIKE 's3://artifacts/_%'
    ON CONFLICT DO NOTHING;

-- Removing has begun. Before that, a model that is made of what is here takes it back.
ALTER TABLE freeing ADD COLUMN begun boolean NOT NULL DEFAULT false;
UPDATE freeing SET begun = true;

-- What a key may do beyond its role: NULL means no limit of its own. `budget` is a Budget of the contracts.
ALTER TABLE api_keys
    ADD COLUMN allowed_models text[],
    ADD COLUMN requests_per_minute integer CHECK (requests_per_minute > 0),
    ADD COLUMN budget jsonb,
    ADD COLUMN expires_at timestamptz;

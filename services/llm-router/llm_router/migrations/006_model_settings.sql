-- Models that are not to be asked, and what their tokens cost: USD for a million, as {"input": "…", "output": "…"}.
ALTER TABLE model_settings
    ADD COLUMN enabled boolean NOT NULL DEFAULT true,
    ADD COLUMN prices jsonb;

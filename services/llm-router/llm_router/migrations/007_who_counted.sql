-- Who counted the tokens: the engine, the model's tokenizer, or their length alone. NULL where none were used.
ALTER TABLE interactions ADD COLUMN counted_by text;

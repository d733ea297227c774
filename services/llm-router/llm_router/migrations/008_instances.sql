-- What a completion that is asked of an engine by its port has where it says nothing else (document C); null until said.
ALTER TABLE engines ADD COLUMN temperature double precision, ADD COLUMN max_length integer;

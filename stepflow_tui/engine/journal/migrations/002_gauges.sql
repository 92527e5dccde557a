-- The newest value of what a live run shows: lag, WAL, read switch, verifier.
CREATE TABLE gauge (
  name TEXT PRIMARY KEY,
  data TEXT NOT NULL CHECK (json_valid(data)),
  at_ms INTEGER NOT NULL
) STRICT;

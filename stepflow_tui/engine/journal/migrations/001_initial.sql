-- The journal of one run. Times are INTEGER milliseconds UTC; order is event.seq, never a clock.
CREATE TABLE run (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  mode TEXT NOT NULL,
  environment TEXT NOT NULL,
  state TEXT NOT NULL,
  result TEXT,
  exit_code INTEGER,
  epoch INTEGER NOT NULL DEFAULT 0,
  plan_hash TEXT,
  config_hash TEXT NOT NULL,
  config TEXT NOT NULL CHECK (json_valid(config)),
  config_path TEXT NOT NULL,
  tool TEXT NOT NULL,
  versions TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(versions)),
  source TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(source)),
  source_changed INTEGER NOT NULL DEFAULT 0,
  changed_ms INTEGER,
  created_ms INTEGER NOT NULL,
  finished_ms INTEGER
) STRICT;

CREATE TABLE phase (
  name TEXT PRIMARY KEY,
  ord INTEGER NOT NULL UNIQUE,
  state TEXT NOT NULL,
  started_ms INTEGER,
  ended_ms INTEGER
) STRICT;

CREATE TABLE step (
  id TEXT PRIMARY KEY,
  phase TEXT NOT NULL REFERENCES phase (name),
  name TEXT NOT NULL,
  ord INTEGER NOT NULL,
  danger TEXT NOT NULL,
  loses TEXT NOT NULL DEFAULT '',
  state TEXT NOT NULL,
  attempt INTEGER NOT NULL DEFAULT 0,
  intent_seq INTEGER,
  done_seq INTEGER,
  started_ms INTEGER,
  ended_ms INTEGER,
  evidence TEXT CHECK (evidence IS NULL OR json_valid(evidence)),
  UNIQUE (phase, name)
) STRICT;

CREATE TABLE event (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  at_ms INTEGER NOT NULL,
  level INTEGER NOT NULL,
  step TEXT,
  code TEXT NOT NULL,
  data TEXT NOT NULL CHECK (json_valid(data))
) STRICT;

CREATE TABLE command (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at_ms INTEGER NOT NULL,
  who TEXT NOT NULL,
  verb TEXT NOT NULL,
  args TEXT NOT NULL CHECK (json_valid(args)),
  nonce TEXT NOT NULL UNIQUE,
  epoch INTEGER,
  state TEXT NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'accepted', 'refused', 'done')),
  answer TEXT CHECK (answer IS NULL OR json_valid(answer)),
  answered_seq INTEGER
) STRICT;
CREATE INDEX command_new ON command (id) WHERE state = 'new';

CREATE TABLE lease (
  name TEXT PRIMARY KEY,
  holder TEXT NOT NULL,
  token INTEGER NOT NULL,
  beat INTEGER NOT NULL,
  boot TEXT NOT NULL,
  beat_mono_ms INTEGER NOT NULL,
  until_mono_ms INTEGER
) STRICT;

CREATE TABLE progress (
  step TEXT NOT NULL,
  item TEXT NOT NULL,
  done INTEGER NOT NULL,
  total INTEGER,
  unit TEXT NOT NULL,
  rate REAL,
  eta_s REAL,
  eta_state TEXT NOT NULL,
  throttle TEXT NOT NULL,
  rev INTEGER NOT NULL,
  PRIMARY KEY (step, item)
) STRICT;

-- A cache of the target's ledger. Not STRICT: bounds are values of any class.
CREATE TABLE chunk (
  step TEXT NOT NULL,
  item TEXT NOT NULL,
  n INTEGER NOT NULL,
  lo,
  hi,
  rows INTEGER,
  digest TEXT,
  state TEXT NOT NULL,
  PRIMARY KEY (step, item, n)
);

CREATE TABLE plan (
  hash TEXT PRIMARY KEY,
  data TEXT NOT NULL CHECK (json_valid(data)),
  at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE tbl (
  source TEXT PRIMARY KEY,
  ord INTEGER NOT NULL,
  target TEXT NOT NULL,
  source_rows INTEGER,
  target_rows INTEGER,
  rejected_rows INTEGER NOT NULL DEFAULT 0,
  state TEXT NOT NULL,
  verified TEXT NOT NULL,
  reason TEXT NOT NULL DEFAULT '',
  digest_source TEXT,
  digest_target TEXT,
  copy_seconds REAL,
  as_of_ms INTEGER,
  ranges TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(ranges)),
  facts TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(facts))
) STRICT;

CREATE TABLE object (
  id TEXT PRIMARY KEY,
  ord INTEGER NOT NULL,
  type TEXT NOT NULL,
  name TEXT NOT NULL,
  tbl TEXT,
  carried INTEGER NOT NULL,
  reason TEXT NOT NULL DEFAULT '',
  sql TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE TABLE finding (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  stage TEXT NOT NULL,
  code TEXT NOT NULL,
  severity TEXT NOT NULL,
  object TEXT,
  params TEXT NOT NULL CHECK (json_valid(params))
) STRICT;
CREATE INDEX finding_stage ON finding (stage);

CREATE TABLE discrepancy (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  tbl TEXT NOT NULL,
  key TEXT NOT NULL CHECK (json_valid(key)),
  col TEXT,
  class TEXT NOT NULL,
  source TEXT,
  target TEXT,
  cause TEXT NOT NULL DEFAULT '',
  repair_sql TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX discrepancy_tbl ON discrepancy (tbl);

CREATE TABLE reject (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  tbl TEXT NOT NULL,
  key TEXT NOT NULL CHECK (json_valid(key)),
  col TEXT,
  reason TEXT NOT NULL,
  file TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX reject_tbl ON reject (tbl);

CREATE TABLE backup (
  path TEXT PRIMARY KEY,
  bytes INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  verified INTEGER NOT NULL,
  at_ms INTEGER NOT NULL,
  facts TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(facts))
) STRICT;

CREATE TABLE checklist (
  id TEXT PRIMARY KEY,
  phase TEXT NOT NULL,
  ord INTEGER NOT NULL,
  kind TEXT NOT NULL,
  params TEXT NOT NULL CHECK (json_valid(params)),
  state TEXT NOT NULL,
  by TEXT,
  at_ms INTEGER,
  note TEXT NOT NULL DEFAULT ''
) STRICT;

-- Answers to questions of gates: a question that was answered once is not asked again.
CREATE TABLE answer (
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  by TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  PRIMARY KEY (kind, id)
) STRICT;

CREATE TABLE alert (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  code TEXT NOT NULL,
  key TEXT NOT NULL,
  severity TEXT NOT NULL,
  params TEXT NOT NULL CHECK (json_valid(params)),
  first_seq INTEGER NOT NULL,
  last_seq INTEGER NOT NULL,
  first_ms INTEGER NOT NULL,
  count INTEGER NOT NULL,
  cleared_seq INTEGER,
  acked_by TEXT,
  note TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE UNIQUE INDEX alert_open ON alert (code, key) WHERE cleared_seq IS NULL;

CREATE TABLE audit (
  n INTEGER PRIMARY KEY,
  at_ms INTEGER NOT NULL,
  who TEXT NOT NULL,
  host TEXT NOT NULL,
  act TEXT NOT NULL,
  data TEXT NOT NULL CHECK (json_valid(data)),
  prev TEXT NOT NULL,
  mac TEXT NOT NULL
) STRICT;

CREATE TABLE timing (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  step TEXT NOT NULL,
  item TEXT NOT NULL DEFAULT '',
  name TEXT NOT NULL,
  seconds REAL NOT NULL,
  rows INTEGER,
  bytes INTEGER,
  at_ms INTEGER NOT NULL
) STRICT;

"""Tables of `_stepflow` that only live runs need: watermark and its marks in time, quarantine, storage classes, reverse log, gate, read switch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepflow_tui.engine.postgres.errors import pg_errors

if TYPE_CHECKING:
    import asyncpg

_TABLES = """
create table if not exists _stepflow.progress (
  run text primary key, epoch integer not null, w bigint not null,
  changes bigint not null default 0, applied_at timestamptz not null default now()
);
create table if not exists _stepflow.mark (
  run text not null, w bigint not null, at timestamptz not null default clock_timestamp(), primary key (run, w)
);
create table if not exists _stepflow.poison (
  run text not null, tb text not null, k text[] not null, col text, reason text not null, n bigint not null,
  primary key (run, tb, k)
);
create table if not exists _stepflow.class (
  tb text not null, k text[] not null, col text not null, class text not null,
  primary key (tb, k, col)
);
create table if not exists _stepflow.clog (
  id bigint generated always as identity primary key,
  xid xid8 not null default pg_current_xact_id(),
  tb text not null, k text[] not null
);
create index if not exists clog_xid on _stepflow.clog (xid);
create table if not exists _stepflow.recopy (run text not null, tb text not null, primary key (run, tb));
create table if not exists _stepflow.gate (
  one boolean primary key default true check (one),
  owner text not null default 'sqlite' check (owner in ('sqlite', 'postgresql')),
  writes text not null default 'closed' check (writes in ('closed', 'open')),
  version bigint not null default 1, changed_at timestamptz not null default now()
);
insert into _stepflow.gate default values on conflict do nothing;
create table if not exists _stepflow.canary (id bigint primary key, token text);
create table if not exists _stepflow.switch (
  one boolean primary key default true check (one),
  version bigint not null default 1,
  strategy text not null, stage integer not null default 0,
  share integer not null default 0 check (share between 0 and 10000),
  salt text not null, groups jsonb not null default '[]',
  rollbacks integer not null default 0, armed boolean not null default true, held boolean not null default false,
  changed_at timestamptz not null default now()
);
create unlogged table if not exists _stepflow.reads (
  id bigint generated always as identity primary key, router text not null, body text not null
);
"""


async def install_live(conn: asyncpg.Connection) -> None:
    """Makes the tables unless they are there; the control schema must be. Commits by itself unless in a transaction."""
    with pg_errors("make the tables of a live run"):
        async with conn.transaction():
            await conn.execute(_TABLES)

"""Benchmarks on scratch copies: rollback journal against WAL, SQLite against PostgreSQL, both sides in turns."""

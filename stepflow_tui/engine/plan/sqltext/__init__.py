"""SQLite's SQL as text: tokens, and tolerant parsers for what the catalog stores.

Nothing here knows a database connection or PostgreSQL. A parser never guesses: what it can't read raises `SqlTextError`,
and the caller keeps the facts that the PRAGMAs gave.
"""

"""PostgreSQL: connecting, the control schema, the catalog, grants, and the embedded server. The only importer of asyncpg."""

"""Steps of a conversion in place (`sqlite-wal`), one file per step kind."""

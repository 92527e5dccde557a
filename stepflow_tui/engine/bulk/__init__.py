"""Worker processes that move Arrow batches between the frozen file and the target. The only importer of adbc_* and nanoarrow.

In the engine (no driver is loaded there):
job         what to copy; `copy` copies it, `lanes` keeps the workers busy, `link` is the engine's own connection
segments    cuts a table into segments, the ledger's rows; `bounds` are their keys as SQL and JSON
spec        what is read and written for one table, as SQL and formats
pool        the worker processes; `meter` counts, `throttle` slows down
outcome     what comes back; `failures` is what a driver's error means

In a worker:
worker      its main loop; `session` holds its connections
segment_job one segment: `fast` as Arrow (calls in `arrow`), `slow` value by value
reader      rows with their storage classes; `values`, `exact` and `instants` convert them exactly
compare     one range of both sides, for the verification
"""

"""Worker processes that move Arrow batches between the frozen file and the target. The only importer of adbc_* and nanoarrow.

spec        what is read and written for one table, as SQL and formats (pure)
bounds      keys as SQL and as JSON
segments    cuts a table into segments: the ledger's rows
pool        the worker processes, and `worker`, their side
session     a worker's connections
arrow       reading, checking, rebuilding and sending batches
fast        one segment as Arrow into binary COPY
slow        one segment through Python, value by value; `exact` holds the conversions
copy        distributes the open segments of the ledger
throttle    row rate and target load
"""

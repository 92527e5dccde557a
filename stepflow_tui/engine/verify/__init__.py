"""Comparing both sides and naming every difference. Imports neither the copy's converters nor the census' terms.

levels      `verify_tables`: which comparisons a level makes, the verdict per table
job         what to verify
forms       how a target column is read, as values and in digests
expected    which target value a source value must have become (Python, exact)
keys        the order both sides share, as SQL and as values
cut         key ranges bounded by bytes
sides       reading rows of both sides
resolve     merges both sides and names the differing rows
by_value    both sides as Arrow, range by range, in worker processes
raw         both sides as digests: standard library against asyncpg

summary     counts, null counts, minimum, maximum, sums
objects     keys, constraints, defaults, sequences, views in the target's catalog
ordered     tables without a key that both sides sort alike
content     tables without a common order, as multisets
tally       what one table has shown so far
hidden_bounds  ranges whose bounds are sensitive values
recompute   the digest of a target table, from the target alone
repair      SQL for differences, and applying it
source_changed  what a changed source does to the verdicts
"""

"""SQLite expressions and statements → PostgreSQL, only where the meaning is surely kept.

Every translated expression is a `Value`: its SQL, and what SQLite would know about it (storage class, affinity, collation).
Whatever is not sure raises `Untranslatable` with the reason, and its object is named as not carried.
"""

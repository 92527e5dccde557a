"""The SQLite side: opening, examining, backing up, restoring. The only importer of `sqlite3` besides journal and bulk.

Importing this package loads nothing; every module is imported where it is used.
"""

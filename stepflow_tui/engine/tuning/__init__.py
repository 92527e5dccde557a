"""Tuning: what every connection of the application should set, as snippets for its language, and whether it has set it.

Pure: nothing here opens a database or runs a command.
"""

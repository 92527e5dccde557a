"""Frozen values the whole engine speaks. No clock, no connection, no driver.

schema      what a SQLite file holds, as read from its catalog
types       kinds of PostgreSQL columns and how each value travels
plan        what will be done: tables, statements, objects, phases
state       statuses of runs, phases, steps, with their allowed transitions
finding     what a check found
discrepancy what a verification or a copy found row by row
progress    how far something is
codec       values to JSON and back
"""

"""The journal of a run: the only channel between the engine and its front ends.

store       the engine's one writer connection
reader      what front ends read, in plain rows
commands    what front ends write: intents, nothing else
rundir      the state directory: run folders, run ids, locks
launch      starting a detached engine
audit       the keyed chain of who did what
schema      numbered migrations
"""

"""Sets of backups, and putting one back as a whole: for the commands, and for the way back of a run."""

"""Steps of the maintenance window: the write lock, the snapshot under it, the hand-over."""

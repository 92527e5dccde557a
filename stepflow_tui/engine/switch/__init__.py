"""The read switch: bucket function, strategies, the guard that rolls back by itself, and where its state lives."""

"""Alert rules (pure) and the watch that raises and resolves what they say. Suppression is the journal's: one open row each."""

"""The live part of a migration: the tail that applies captured changes, its proof, and the way back."""

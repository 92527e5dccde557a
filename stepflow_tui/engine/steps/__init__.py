"""One file per step kind: is it done already (`probe`), do it (`apply`), undo it (`undo`). `context` holds the protocol."""

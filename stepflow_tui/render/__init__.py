"""Texts for people, made from what the engine says: shared by the command line and the wizard. No Textual, no Typer."""

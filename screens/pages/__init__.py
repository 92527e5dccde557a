"""Pages of the plan and the report: values in, lines out. No widgets, no files, no databases."""

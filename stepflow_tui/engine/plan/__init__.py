"""Pure planning: (schema, config, census facts) → plan. No clock, no connection, no driver."""

"""Steps that stop, switch, start and watch the application."""

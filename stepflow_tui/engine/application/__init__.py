"""The application around the data: its settings, its restarts, its health. Knows files, processes and HTTP, no databases and no journal."""

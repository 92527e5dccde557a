"""Names of the demo shop's files, and of the variables that tell it where PostgreSQL or the application is."""

SOURCE, LEDGER, COUNTERS, LOG = "shop.db", "shop.ledger", "shop.json", "shop.log"
TARGET_VARIABLE, PORT_VARIABLE = "SHOP_TARGET", "SHOP_PORT"
SETTINGS, URL_VARIABLE = ".env", "DATABASE_URL"
WEB_LOG, WEB_PID, CROWD_PID = "web.log", "web.pid", "crowd.pid"

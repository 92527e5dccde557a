"""Names of the demo shop's files, and of the variable that tells it where PostgreSQL is."""

SOURCE, LEDGER, COUNTERS, LOG = "shop.db", "shop.ledger", "shop.json", "shop.log"
TARGET_VARIABLE = "SHOP_TARGET"

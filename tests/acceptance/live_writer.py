"""An application: `live_writer.py FILE` writes to a SQLite file until its standard input ends, then tells what it got done.

A process of its own: whoever opens and closes the file beside a connection to it takes that connection's locks away.
Refused transactions are rolled back and counted by what SQLite said; the next one is tried all the same.
"""

from __future__ import annotations

import contextlib
import json
import random
import select
import sqlite3
import sys
from collections import Counter


def main(path: str) -> None:
    """Write, and print one line per transaction: `ok N` with the number of acknowledged ones, or `no MESSAGE`."""
    chance, refused, done = random.Random(7), Counter[str](), 0
    connection = sqlite3.connect(path, timeout=20, isolation_level=None)
    connection.execute("pragma foreign_keys=on")
    while not select.select([sys.stdin], [], [], 0.005)[0]:
        try:
            connection.execute("begin immediate")
            transaction(connection, chance, done)
            connection.execute("commit")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("rollback")
            refused[str(error)] += 1
            say(f"no {error}")
        else:
            done += 1
            say(f"ok {done}")
    connection.close()
    say(json.dumps({"written": done, "refused": refused}))


def transaction(connection: sqlite3.Connection, chance: random.Random, number: int) -> None:
    """What changes rows in every way: REPLACE over a second unique key, cascades, triggers, moved keys, deleted rows."""
    customer = chance.randint(1, 40)
    connection.execute(
        "insert or replace into customer(id, email, name) values (?, ?, ?)",
        (customer, f"{chance.randint(1, 60)}@x.org", f"name {number}"),
    )
    connection.execute("insert into orders(customer_id, total) values (?, ?)", (customer, number))
    connection.execute("update orders set total = total + 1 where id = ?", (chance.randint(1, 100),))
    connection.execute("insert into note values ('n', ?)", (number,))
    connection.execute("delete from note where rowid = ?", (chance.randint(1, 60),))
    connection.execute(
        "update or ignore kv set k = ? where k = ?", (f"k{chance.randint(0, 40)}", f"k{chance.randint(0, 40)}")
    )
    connection.execute("insert or replace into kv values (?, ?)", (f"k{chance.randint(0, 40)}", b"\x00\xff"))


def say(line: str) -> None:
    """One line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])

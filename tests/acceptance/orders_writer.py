"""`orders_writer.py FILE`: writes orders until its standard input ends, then tells how many were acknowledged, and every refusal."""

from __future__ import annotations

import contextlib
import json
import select
import sqlite3
import sys


def main(path: str) -> None:
    """Write `w0`, `w1`, …; the next number only when the one before was acknowledged."""
    done, refused = 0, set[str]()
    with contextlib.closing(sqlite3.connect(path, timeout=0.2, isolation_level=None)) as conn:
        conn.execute("select count(*) from orders").fetchone()
        say("ready")
        while not select.select([sys.stdin], [], [], 0.02)[0]:
            try:
                conn.execute("insert into orders(note) values (?)", (f"w{done}",))
            except sqlite3.Error as error:
                refused.add(str(error))
            else:
                done += 1
    say(json.dumps({"done": done, "refused": sorted(refused)}))


def say(line: str) -> None:
    """One line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])

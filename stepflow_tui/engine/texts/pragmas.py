"""Why each setting of the profile has its value, what it means and what it risks; and findings about own values."""

from __future__ import annotations

from dataclasses import dataclass

from stepflow_tui.engine.texts import Words
from stepflow_tui.engine.texts.language import N_


@dataclass(frozen=True, slots=True)
class About:
    """Three texts about a setting."""

    meaning: str
    why: str
    risk: str


PRAGMAS: dict[str, About] = {
    "busy_timeout": About(
        N_("How long a connection waits for a lock before it says `database is locked`; milliseconds."),
        N_("SQLite's own default is 0: the second of two writers fails at once. With 30 seconds it waits its turn."),
        N_(
            "A transaction that began by reading and then writes can fail at once all the same: begin it with BEGIN IMMEDIATE."
        ),
    ),
    "synchronous": About(
        N_("When SQLite waits for the disk. NORMAL in WAL mode: at checkpoints, not at every commit."),
        N_("Commits no longer wait for the disk, which is most of what a small write costs."),
        N_(
            "A crash of the application loses nothing. A power cut, or a crash of the system, may lose the last commits; it "
            "never damages the file. FULL where every commit must survive that. An application that buffers writes in memory "
            "loses its buffer besides: no setting here helps."
        ),
    ),
    "cache_size": About(
        N_("Memory for pages of one connection. Negative numbers are KiB; positive numbers count pages."),
        N_("-20000 is 20 MB whatever the page size. 20000 would be 20,000 pages, 80 MB of 4-KiB pages."),
        N_("Each connection has its own: 20 connections may take 400 MB."),
    ),
    "temp_store": About(
        N_("Where sorting and temporary tables go."),
        N_("Memory is faster than files in /tmp, and a full /tmp stops no query."),
        N_("A very large sort takes its memory from the application."),
    ),
    "mmap_size": About(
        N_("How much of the file is read through memory mapping; bytes."),
        N_("Reads copy less: pages come straight from the system's cache, which all processes share."),
        N_(
            "Mapped pages count as memory of the process in many tools, though they are the system's. A disk that fails under a "
            "mapped page ends the process with SIGBUS instead of an error. Some builds of SQLite cap it, or have none."
        ),
    ),
    "wal_autocheckpoint": About(
        N_("After how many pages of -wal a commit moves them into the file."),
        N_("1,000 pages are SQLite's own default, about 4 MB: -wal stays small, and no single commit pays much."),
        N_("A reader that never ends its transaction holds every checkpoint up, and -wal grows whatever is set here."),
    ),
    "journal_size_limit": About(
        N_("To what size -wal is cut when it begins anew; bytes."),
        N_(
            "Without it -wal keeps the largest size it ever had. 64 MiB are many times what 1,000 pages need, so it is cut only "
            "after a burst, and stays below the alert at 100 MiB."
        ),
        N_("None for the data: what is cut off is in the file already. Growing again after a burst costs a little."),
    ),
    "foreign_keys": About(
        N_("Whether this connection checks foreign keys."),
        N_("The profile leaves it as the application has it. It stands here because the config names it."),
        N_("Switched on for data that breaks them, writes begin to fail; `PRAGMA foreign_key_check` lists such rows."),
    ),
    "journal_mode": About(
        N_("WAL: changes go to -wal beside the file, and readers and a writer no longer shut each other out."),
        N_("It stands in the file: set once, it holds for everybody. The run converts it and reads it back."),
        N_("The file alone is no backup any more: its newest rows may stand in -wal."),
    ),
    "page_size": About(
        N_("Bytes of a page of the file."),
        N_("It stands in the file, and in WAL mode it can't be changed: the run does it before, with VACUUM."),
        N_("VACUUM needs as much room again as the file has, and nobody writes meanwhile."),
    ),
    "auto_vacuum": About(
        N_("Whether free pages are given back to the file system."),
        N_("It stands in the file; a change needs VACUUM, so the run does it before the conversion."),
        N_("FULL moves pages at every commit; INCREMENTAL waits until it is asked."),
    ),
}
"""By pragma."""

LEFT_ALONE = N_(
    "foreign_keys is left as the application sets it: off is SQLite's default, and switching it on changes what writes do."
)

FINDINGS: dict[str, Words] = {
    "pragma_cache_pages": Words(
        "`wal.pragmas.cache_size: {value}` counts pages: {size} of memory for each connection with pages of {page_size} bytes.",
        "Positive numbers are pages, negative ones KiB; the two are easily confused, and with another page size it means another amount.",
        "Write `cache_size: -{kib}` for that amount in KiB, or the KiB you meant with a minus sign.",
    ),
    "pragma_not_durable": Words(
        "`wal.pragmas.synchronous: OFF` never waits for the disk.",
        "A power cut can damage the file, not only lose the last commits.",
        "Write NORMAL, or leave it out.",
    ),
    "pragma_no_checkpoints": Words(
        "`wal.pragmas.wal_autocheckpoint: 0` switches checkpoints off in these connections.",
        "-wal grows until somebody else checkpoints; Litestream does, and asks for this setting.",
        "Leave it out, unless such a tool checkpoints this database.",
    ),
    "pragma_differs": Words(
        "The application's connection has {name} = {found}, wanted is {wanted}.",
        "The setting belongs to a connection: what another program sets doesn't reach the application.",
        "`stepflow pragmas --for` prints what to put where the application opens its connections.",
    ),
    "pragma_not_told": Words(
        "The probe does not tell {name} of the application's connection; wanted is {wanted}.",
        "What is not told is not known to be set.",
        "Use the probe that `stepflow pragmas --probe` prints; a SQLite without that setting answers nothing.",
    ),
}

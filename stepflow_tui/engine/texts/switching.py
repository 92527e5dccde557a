"""Words of the live part: read switch, cutover, what going back loses. Tables from codes to sentences, shown with `_()`."""

from __future__ import annotations

from collections.abc import Mapping

from stepflow_tui.engine.texts.language import N_

STRATEGIES: Mapping[str, str] = {
    "immediate": N_("immediate: from 0 to 100 % in one step, once the shadow reads have passed."),
    "gradual": N_(
        "gradual: by the steps of the config (1, 5, 25, 50, 100 %); each is held for the soak time, and goes on only if "
        "errors, latency and mismatches stay as they are on the old side."
    ),
    "canary": N_(
        "canary: one small fixed share of the keys, or one group of users, for a long soak; then 100 % in one step."
    ),
    "ab": N_(
        "ab: fixed shares side by side until a stated number of reads was measured on both; it ends with a verdict, and "
        "a person decides."
    ),
    "blue-green": N_("blue-green: 100 % at once; the old side is kept warm, and one keystroke moves reads back."),
}
"""What each strategy of the read switch does."""

BACK: Mapping[str, str] = {
    "nothing": N_("nothing is lost: SQLite owns the writes and has every row"),
    "reads_only": N_("nothing is lost: only reads move back, SQLite owns the writes"),
    "drained_first": N_("nothing is lost: what is not there yet is carried to SQLite first ({changes})"),
    "blocked": N_("not possible before rows that SQLite can't hold are changed: {rows}"),
    "blocked_by": N_("not possible just now: {reason}"),
    "since_cutover": N_("everything written to PostgreSQL since the cutover is lost"),
    "way_back_closed": N_("not possible any more: the clean-up has begun"),
}
"""What going back would mean just now."""

MOMENTS: Mapping[str, str] = {
    "rehearsed": N_("rehearsed: writes would stand still for about {freeze_seconds} s"),
    "not_rehearsed": N_("the rehearsal failed: {message}"),
    "fenced": N_("writes to SQLite are refused from now on"),
    "drained": N_("drained: the last changes are in PostgreSQL ({changes}), after {seconds} s"),
    "compared": N_("rows touched since the last clean pass are equal on both sides ({keys}), after {seconds} s"),
    "sequences": N_("sequences set behind the highest keys ({sequences}), after {seconds} s"),
    "keys": N_("foreign keys made, not validated yet, and triggers, after {seconds} s"),
    "return_proven": N_("the way back is open and proven: a row went there and back, after {seconds} s"),
    "application_switched": N_("the application is switched"),
    "point_of_no_return": N_("POINT OF NO RETURN: from here on the run goes forward only; going back is a rollback"),
    "writes_open": N_("PostgreSQL takes writes; they stood still for {seconds} s"),
    "read_back": N_("the last rows written to SQLite were read back from PostgreSQL"),
    "failed": N_("this try failed: {message}"),
    "taken_back": N_("taken back: the fence is lifted, and the application writes to SQLite as before"),
    "postponed": N_("postponed until {at}"),
}
"""What happens while writes move."""

CAPTURES: Mapping[str, str] = {
    "installed": N_("change capture installed; tables: {tables}"),
    "reinstalled": N_("change capture installed again; tables: {tables}"),
    "resumed": N_("change capture goes on from change {n}"),
    "broken": N_("change capture is broken: {reason}"),
    "pruned": N_("old changes removed from the log: {count}"),
    "disturbed": N_("change capture was disturbed: {message}"),
    "mended": N_("change capture is mended"),
    "removed": N_("change capture removed, nothing of it is left in the source"),
}
"""What happens to change capture."""

SIGNALS: Mapping[str, str] = {
    "errors": N_("errors on the new side: {new} % against {old} % on the old one"),
    "timeouts": N_("timeouts on the new side: {new} % against {old} % on the old one"),
    "slow": N_("slow reads on the new side: {new} % against {old} % on the old one"),
    "p95": N_("the new side answers too slowly: p95 {new} ms, the limit is {limit} ms"),
    "error_rate": N_("too many errors on the new side: {new} %, the limit is {limit} %"),
    "mismatches": N_("reads that gave different rows on the two sides: {count}"),
    "lag": N_("the new side is too far behind: {seconds} s"),
}
"""Why reads were moved back."""

VERDICTS: Mapping[str, str] = {
    "measuring": N_("measuring"),
    "measuring_reads": N_("measuring: {count} of {wanted} reads"),
    "inconclusive": N_("too few reads to tell; it stays as it is"),
    "inconclusive_reads": N_("too few reads to tell, {count} of {wanted}; it stays as it is"),
    "passing": N_("the shadow reads have not been through all tables yet"),
    "healthy": N_("the new side is as good as the old one"),
    "suspicious": N_("something looks wrong; it stays as it is until that is clear"),
    "worse": N_("the new side is worse"),
    "better": N_("the new side is better"),
    "equal": N_("no difference between the sides"),
    "both_fail": N_("both sides fail alike: going back would not help"),
    "behind": N_("the new side is too far behind or out of reach, so it is not read"),
    "held": N_("a person keeps it where it is"),
    "rolled_back": N_("reads were moved back"),
    "shadow": N_("shadow reads only, no application reports yet"),
    "restart": N_("reads move with the restart of the application"),
}
"""What the figures of the read switch say; with `_reads` where they are counted."""

TOLD: Mapping[str, str] = {
    "wal_converted": N_("the database is in WAL mode (tries: {attempts}, {seconds} s)"),
    "wal_restored": N_("the backup is back in its place; {aside} files of before stand aside"),
    "wal_watching": N_("watching for {window_seconds} s; `stepflow cleanup` ends it earlier"),
    "switch_rearmed": N_("the read switch is armed again, by {by}"),
    "switch_suspended": N_(
        "reads follow the old side for now: the new one is behind or out of reach ({lag_seconds} s)"
    ),
    "switch_resumed": N_("reads follow the switch again"),
    "switch_refused": N_("the read switch stays where it is: {message}"),
    "tables_copied_again": N_("tables to be copied again: {tables}"),
    "rejects_settled": N_("rows that the copy refused have all arrived since: {tables}"),
    "rows_reconciled": N_("rows of {table} that the log had missed, brought over behind the fence: {count}"),
    "log_not_tended": N_("the change log could not be looked after: {message}"),
    "writes_taken_back": N_("SQLite takes writes again, {seconds} s after the rollback of the cutover began"),
    "return_disturbed": N_("the way back was disturbed: {message}"),
    "return_mended": N_("the way back is mended, every row that was concerned is in SQLite ({rows})"),
    "return_blocked": N_("the way back is blocked: {message}"),
    "return_open_again": N_("the way back is open again"),
    "offline_window_began": N_(
        "the maintenance window has begun: {seconds} s; predicted standstill {predicted_seconds} s"
    ),
    "offline_application_stopped": N_("the application is stopped"),
    "offline_stopped_by_hand": N_(
        "no recipe stops the application: it counts as stopped now, and its writes are refused"
    ),
    "offline_locked": N_("the source is locked: every other writer is refused (held by process {pid})"),
    "offline_locked_again": N_("the lock was lost and is taken again; nobody wrote in between (held by process {pid})"),
    "offline_locked_out": N_("locked out: process {pid} ({program}) still has the source open"),
    "offline_lock_kept": N_("the lock is not free yet, it is kept by {holders}"),
    "offline_changed_meanwhile": N_("nobody kept the lock for a while, and the source was changed"),
    "offline_from_zero": N_("the source has changed since it was copied: the copy starts from zero"),
    "offline_handed_over": N_("the fence stands in place of the lock, without a moment in between (tables: {tables})"),
    "offline_waits": N_("the run waits with the application stopped: the window goes on, {left_seconds} s are left"),
    "offline_config_kept": N_(
        "{file} was edited since the application was stopped: the way back goes by what stood in it then"
    ),
    "offline_config_not_kept": N_(
        "{file} holds secrets, and secrets are not kept: leave these as they are until the run is over, the way back needs them "
        "(they can stand in variables instead: ${{NAME}})"
    ),
    "offline_switched": N_(
        "the application works with PostgreSQL; it stood still for {seconds} s (predicted: {predicted_seconds} s)"
    ),
    "offline_returned": N_("the application works with SQLite as before; it stood still for {seconds} s"),
    "offline_returned_by_hand": N_(
        "SQLite takes writes again after {seconds} s: start the application by hand, no recipe does it"
    ),
    "application_stage": N_("the application: {stage}"),
    "application_settings": N_("settings changed in {files}"),
    "application_switched": N_("the application runs on the new side and is well, {seconds} s after it was stopped"),
    "application_changed": N_(
        "settings and code are those of the new side; no recipe restarts the application: do that now"
    ),
    "application_failed": N_("the application does not come up, everything is put back: {reason}"),
    "application_back": N_("the application runs as before, {seconds} s after the way back began"),
    "gate_not_opened": N_("PostgreSQL still refuses writes: {message}"),
    "rows_given_up": N_("rows that SQLite can't hold are given up, as confirmed: {rows} ({named})"),
}
"""Other events of live runs."""

GUARDS: Mapping[str, tuple[str, str]] = {
    "engine": (N_("an engine works on the run"), N_("no engine works on the run")),
    "phase": (N_("the run switches reads"), N_("the run has not come to switching reads")),
    "armed": (N_("the switch is armed"), N_("reads were moved back: arm the switch again first")),
    "verified": (N_("the comparison has a clean pass"), N_("the comparison has had no clean pass yet")),
    "differing": (N_("no row differs"), N_("rows differ: {count}")),
    "poison": (N_("no row is set aside"), N_("rows are set aside: {count}")),
    "lag": (N_("the new side is up to date"), N_("the new side is behind: {count}")),
    "soak": (N_("the step was held long enough"), N_("the step is still being held: {time} left")),
    "samples": (N_("enough reads were measured"), N_("too few reads were measured: {count}")),
    "owner": (N_("SQLite owns the writes"), N_("PostgreSQL owns the writes: reads follow them")),
    "blockers": (N_("nothing stands in the way back"), N_("values stand in the way back: {count}")),
    "freeze": (N_("the freeze fits the limit"), N_("writes would stand still for {time}, more than the limit")),
    "reads_by_restart": (
        N_("reads move with the restart of the application"),
        N_("reads from the new side: {percent} %"),
    ),
    "reads": (N_("all reads come from the new side"), N_("reads from the new side: {percent} %")),
    "switched": (N_("the read switch is over"), N_("the read switch is not over yet")),
    "reads_held": (
        N_("the read switch is over"),
        N_("the read switch is not over yet: its last step is held for {time} more"),
    ),
    "capture": (N_("change capture is whole"), N_("change capture is broken")),
    "hooks": (N_("the hooks are ready"), N_("a hook is not ready")),
    "tables": (
        N_("no table was added to the source"),
        N_("tables were added to the source after it was planned: {names}"),
    ),
    "rights": (N_("the rights in both databases suffice"), N_("rights are missing")),
    "application_settings": (
        N_("the application's settings can be changed"),
        N_("the application's settings can't be changed: {reason}"),
    ),
    "application_recipes": (
        N_("the application can be stopped, started and put back"),
        N_("a recipe is not ready: {reason}"),
    ),
    "application_health": (N_("the application is well now"), N_("the application is not well now: {reason}")),
    "reverse": (N_("the way back can be opened"), N_("the way back can't be opened")),
}
"""What must hold before reads or writes move: how it reads when it holds, and when it does not."""

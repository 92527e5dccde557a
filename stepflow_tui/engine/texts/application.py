"""Texts of findings about the application: whether it is healthy, whether its functions work, what probes left behind."""

from __future__ import annotations

from stepflow_tui.engine.texts import Words

FINDINGS: dict[str, Words] = {
    "application_unhealthy_now": Words(
        "The application is not healthy now: {object}: {reason}.",
        "After the switch nobody could tell whether the switch broke it, or it was so before.",
        "Make it healthy first, or correct the check under `application.health`.",
    ),
    "application_unreachable_now": Words(
        "The address under `application.availability` is not answered as it should be: {object}: {reason}.",
        "From the first phase on every second would count as unavailable.",
        "Start the application, or correct `application.availability`.",
    ),
    "application_unhealthy_after": Words(
        "The application is not healthy at the end of the run: {object}: {reason}.",
        "The data is where it should be; whether people can work with it is another question.",
        "Look at the application's own log; `stepflow status` shows what the check says now.",
    ),
    "probe_failed": Words(
        "The functional probe {probe} failed: {reason}.",
        "What it tries is what people do with the application.",
        "Try it by hand, and look at the application's own log.",
    ),
    "probe_left_record": Words(
        "The probe {probe} could not delete the record that it made: key {key}, table {table}.",
        "It stands in the application's data; comparisons of contents leave it out by its key.",
        "The next run of the probe tries again; or delete it by hand.",
    ),
    "probe_unknown": Words(
        "The probe {probe} does not know whether its record was made: the answer to its request was lost.",
        "Without the key nobody can delete it.",
        "Look in the application for a record with the text {token}, and delete it if it is there.",
    ),
}

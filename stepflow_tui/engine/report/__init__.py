"""The report: made from the journal alone, written as report.json, report.md and report.html in the run's folder."""

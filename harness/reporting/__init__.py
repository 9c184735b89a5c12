"""Lines, records and pages that people read."""

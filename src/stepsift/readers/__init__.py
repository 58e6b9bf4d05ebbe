"""Source files to candidate traces and rejected rows, one file a layout; `stepsift.ingest` is what calls them."""

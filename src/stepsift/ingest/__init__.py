"""Source files to candidate traces and rejected rows, one file per layout; `stepsift.ingest.run` is what calls them."""

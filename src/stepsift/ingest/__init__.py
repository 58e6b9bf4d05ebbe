"""Source files to candidate traces and rejected rows, one file a layout; `stepsift.ingest.run` is what calls them."""

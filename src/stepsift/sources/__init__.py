"""Adding sources to the pool and taking them out, so that two branches that each do so can be merged.

Each file below the sources folder has a small `.dvc` file of its own beside it; one for the whole folder would conflict
whenever two branches add a file. What ingest has to be told of a file or folder stands in one rule file beside it, and
only where the rows do not say it themselves.
"""

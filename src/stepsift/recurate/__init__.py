"""Re-curation: `run.py` runs the pipeline on what is committed and proposes its results as a branch.

`check_lock.py` says whether dvc.lock and the remote fit what is committed, `push_runs.py` pushes DVC's run cache; both
need nothing but DVC and git. `commits.py` makes and pushes branches, `proposal.py` their text, `pull_requests.py` asks
GitHub.
"""

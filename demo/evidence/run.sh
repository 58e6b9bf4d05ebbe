#!/usr/bin/env bash
# Runs the audition of docs/log/EVIDENCE.md: for each base student a clone of this repository, the pool, its scores, and the
# audition. What was done is kept: the same command goes on where it was stopped, with the commit that it began with.
#
#   demo/evidence/run.sh FOLDER [WORKERS]     # WORKERS students are trained at a time (2)
set -euo pipefail
[ $# -ge 1 ] || { sed -n '5s/^# *//p' "$0" >&2; exit 2; }
repository=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)
workers=${2:-2}
[ -f "$folder/commit" ] || git -C "$repository" rev-parse HEAD > "$folder/commit"
export PATH=$repository/.venv/bin:$PATH STEPSIFT_CACHE=$folder/cache

for base in demo/evidence/base-0 demo/evidence/base-1 demo/evidence/base-2; do
  world=$folder/$(basename "$base")
  [ -d "$world" ] || git clone --quiet "$repository" "$world"
  cd "$world"
  git checkout --quiet --force "$(cat "$folder/commit")"
  export PYTHONPATH=$world/src
  sed "s#demo/evidence/base-0#$base#" demo/evidence/params.yaml > params.yaml
  [ -n "$(ls -A data/sources 2>/dev/null)" ] ||
    python demo/make_sources.py --world evidence --operations 3 4 --prompts 1000 --sources data/sources --tasks data/tasks
  dvc repro score
  python demo/precondition.py data/ingest/traces.parquet data/score/step_scores.parquet > precondition.md || true  # for the record
  stepsift audition --workers "$workers"
done

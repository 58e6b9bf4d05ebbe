#!/usr/bin/env bash
# Runs the auditions of the demo's world (docs/log/EVIDENCE.md): for each seed of the problems a clone of this repository,
# its pool, scores, an audition of each teacher alone, preconditions, and an audition of metrics and controls.
# What was done is kept: the same command goes on where it was stopped, with the commit that it began with.
#
#   demo/evidence/demo.sh FOLDER SEED..     # half an hour of two cores for each seed: demo/evidence/demo.sh FOLDER 0 1 2
set -euo pipefail
[ $# -ge 2 ] || { sed -n '6s/^# *//p' "$0" >&2; exit 2; }
repository=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)
shift
[ -f "$folder/commit" ] || git -C "$repository" rev-parse HEAD > "$folder/commit"
# Weights depend on the number of threads, so each of the two students that learn at a time has one.
export PATH=$repository/.venv/bin:$PATH STEPSIFT_CACHE=$folder/cache OMP_NUM_THREADS=1

audition() { # the values of the keys below `audition`: teachers, selectors, controls, seeds
  sed -i "/^audition:/,/^\$/ {
    s/^  selectors: .*/  selectors: $2/; s/^  teachers: .*/  teachers: $1/; s/^  controls: .*/  controls: $3/
    s/^  seeds: .*/  seeds: $4/; s/^  budgets: .*/  budgets: [examples]/
  }" params.yaml
  stepsift audition --workers 2
}

for seed in "$@"; do
  world=$folder/pool-$seed
  [ -d "$world" ] || git clone --quiet "$repository" "$world"
  cd "$world"
  git checkout --quiet --force "$(cat "$folder/commit")"
  export PYTHONPATH=$world/src
  [ -n "$(ls -A data/sources 2>/dev/null)" ] ||
    python demo/make_sources.py --seed "$seed" --sources data/sources --tasks data/tasks
  dvc repro score
  audition null '[longest]' '[random]' '[0]'
  [ -f precondition.md ] || # its exit code says whether all of them hold: for the record, whatever it says
    python demo/precondition.py data/ingest/traces.parquet data/score/step_scores.parquet --audition auditions/* > precondition.md || true
  audition '[]' '[lalp, step_mean, galp, sum_logprob, rsr, aslec_drop, entropy]' '[random, stratified, length_matched]' '[0, 1, 2]'
done

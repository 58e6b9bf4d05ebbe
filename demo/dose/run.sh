#!/usr/bin/env bash
# Dose and response (demo/dose/README.md): for each base a clone of this repository, the pool of copies, its scores, and
# auditions: of metrics with a window of one step, of lalp's choice with other windows, of the metrics again with equal
# tokens, of teachers alone (the first seed).
# Goes on where it was stopped, with the same commit.
#
#   demo/dose/run.sh FOLDER [SEEDS] [WINDOWS] [BASES] [WORKERS]     # "0 1 2", "2 0.25", "0 1 2", 2
set -euo pipefail
[ $# -ge 1 ] || { sed -n '7s/^# *//p' "$0" >&2; exit 2; }
repository=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)
seeds=${2:-0 1 2} windows=${3-2 0.25} bases=${4:-0 1 2} workers=${5:-2}
alone='[work, echoing 0.4, echoing 0.8, concluding 0.4, concluding 0.8, restating 0.4, restating 0.8, stuttering 0.4, stuttering 0.8]'
[ -f "$folder/commit" ] || git -C "$repository" rev-parse HEAD > "$folder/commit"
export PATH=$repository/.venv/bin:$PATH STEPSIFT_CACHE=$folder/cache

hold() {  # NAME WINDOW SEEDS EDIT: scores with this window, and an audition that is kept below NAME
  sed -e "s#evidence/base-.*#evidence/base-$base#" -e "s/^  window: .*/  window: $2/" -e "s/^  seeds: .*/  seeds: [${3// /, }]/" -e "$4" demo/dose/params.yaml > params.yaml
  dvc repro score
  stepsift audition --workers "$workers" --out "auditions/$1"
}

enter() {  # BASE: its clone, with the pool
  base=$1 world=$folder/base-$1
  [ -d "$world" ] || git clone --quiet "$repository" "$world"
  cd "$world"
  git checkout --quiet --force "$(cat "$folder/commit")"
  export PYTHONPATH=$world/src
  [ -n "$(ls -A data/sources 2>/dev/null)" ] ||
    python demo/make_sources.py --world copies --sources data/sources --tasks data/tasks
}

for base in $bases; do
  enter "$base"
  hold window-1 1 "$seeds" ''
  for window in $windows; do
    hold "window-$window" "$window" "$seeds" 's/^  selectors: \[lalp, .*cll\]/  selectors: [lalp]/; s/^  controls: .*/  controls: [random]/'
  done
  hold tokens 1 "$seeds" 's/^  budgets: .*/  budgets: [{tokens: 60000}]/'
done
for base in $bases; do
  enter "$base"
  hold teachers 1 "${seeds%% *}" "s/^  teachers: .*/  teachers: $alone/; s/^  selectors: \[lalp, .*cll\]/  selectors: [lalp]/; s/^  controls: .*/  controls: [random]/"
done

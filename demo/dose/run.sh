#!/usr/bin/env bash
# Dose and response (demo/dose/README.md): for each base a clone of this repository, the pool of copies, its scores, and an
# audition with a window of one step; then lalp's choice with other windows. Goes on where it was stopped, with the same commit.
#
#   demo/dose/run.sh FOLDER [SEEDS] [WINDOWS] [BASES]     # "0 1 2", "2", "0 1 2"
set -euo pipefail
[ $# -ge 1 ] || { sed -n '5s/^# *//p' "$0" >&2; exit 2; }
repository=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)
seeds=${2:-0 1 2} windows=${3-2} bases=${4:-0 1 2}
[ -f "$folder/commit" ] || git -C "$repository" rev-parse HEAD > "$folder/commit"
export PATH=$repository/.venv/bin:$PATH STEPSIFT_CACHE=$folder/cache

hold() {  # WINDOW EDIT: scores with this window, and an audition
  sed -e "s#evidence/base-.*#evidence/base-$base#" -e "s/^  window: .*/  window: $1/" -e "s/^  seeds: .*/  seeds: [${seeds// /, }]/" -e "$2" demo/dose/params.yaml > params.yaml
  dvc repro score
  stepsift audition --out "auditions/window-$1"
}

for base in $bases; do
  world=$folder/base-$base
  [ -d "$world" ] || git clone --quiet "$repository" "$world"
  cd "$world"
  git checkout --quiet --force "$(cat "$folder/commit")"
  export PYTHONPATH=$world/src
  [ -n "$(ls -A data/sources 2>/dev/null)" ] ||
    python demo/make_sources.py --world copies --sources data/sources --tasks data/tasks
  hold 1 ''
  for window in $windows; do
    hold "$window" 's/^  selectors: \[lalp, step.*cll\]/  selectors: [lalp]/; s/^  teachers: .*/  teachers: []/; s/^  controls: .*/  controls: [random]/'
  done
done

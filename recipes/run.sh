#!/usr/bin/env bash
# Runs a recipe in a clone of this repository: its settings, its questions, its traces, then check, scores and the audition.
# What was done is kept: the same command goes on where it was stopped, with the commit and the settings of its first run.
#
#   recipes/run.sh [--check | --pilot SHARE] SETTINGS FOLDER [WORKERS]    # --check, --pilot: no more than that; WORKERS: students at a time (1)
set -euo pipefail
check_only= pilot=
[ "${1:-}" != --check ] || { check_only=yes; shift; }
[ "${1:-}" != --pilot ] || { pilot="--pilot ${2:-}"; shift; [ $# -lt 1 ] || shift; }
[ $# -ge 2 ] || { sed -n '5s/^# *//p' "$0" >&2; exit 2; }
repository=$(cd "$(dirname "$0")/.." && pwd)
settings=$1 recipe=$(dirname "$1")
[ -f "$repository/$settings" ] || { echo "there is no $settings in $repository; name recipes/limo/params.yaml or another" >&2; exit 2; }
mkdir -p "$2"
folder=$(cd "$2" && pwd)
workers=${3:-1}
clone=$folder/$(basename "$settings" .yaml)
export PATH=$repository/.venv/bin:$PATH STEPSIFT_CACHE=$folder/cache
# The questions with which LIMO's authors evaluate, as their repository held them at this commit.
limo=${LIMO_REPOSITORY:-https://github.com/GAIR-NLP/LIMO}
limo_commit=${LIMO_COMMIT:-2284c6a0e6653aa8894bd12fdecc1212ba706c3a}

if [ ! -d "$clone" ]; then
  rm -rf "$clone.part"
  git clone --quiet "$repository" "$clone.part"
  cp "$clone.part/$settings" "$clone.part/params.yaml"
  mkdir -p "$clone.part/data/sources" "$clone.part/data/tasks"
  cp "$clone.part"/recipes/tasks/*.yaml "$clone.part/data/tasks"
  git init --quiet --bare "$clone.part/.stepsift/limo.git"
  git -C "$clone.part/.stepsift/limo.git" fetch --quiet --depth 1 "$limo" "$limo_commit"
  for task in aime24=aime amc23=amc math500=math minerva=minerva olympiadbench=olympiadbench; do
    git -C "$clone.part/.stepsift/limo.git" show "$limo_commit:eval/data/${task#*=}/test.jsonl" > "$clone.part/data/tasks/${task%=*}.jsonl"
  done
  mv "$clone.part" "$clone"
fi
cd "$clone"
export PYTHONPATH=$clone/src
[ -n "$(ls -A data/sources)" ] || bash "$recipe/sources.sh" "$folder"
stepsift check
[ -z "$check_only" ] || exit 0
dvc repro score
# shellcheck disable=SC2086 # two words, or none
stepsift audition $pilot --workers "$workers"

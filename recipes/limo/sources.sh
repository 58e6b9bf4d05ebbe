# Puts the traces of FOLDER/traces into the pool: a file for each teacher, as recipes/limo/traces.py writes them.
set -euo pipefail
files=("$1"/traces/*.jsonl)
[ -e "${files[0]}" ] || { echo "there are no traces in $1/traces; recipes/limo/README.md says how they are made" >&2; exit 1; }
stepsift add "${files[@]}" --rules recipes/limo/traces.rule.yaml

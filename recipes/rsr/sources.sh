# Puts the 33 files of RSR's pool into data/sources: three runs of each of eleven teachers, a folder for each teacher.
set -euo pipefail
stepsift add hub:Umean/RSR_data@658ec49573a5b9a23e6fcb165c604b412c43e030 --files '*/short-sys_5k_gen?.json' \
  --rules recipes/rsr/rsr.rule.yaml --name rsr

#!/bin/sh
# The two experiments of "Grokking in the Wild" on 2WikiMultiHopQA, five seeds each, and composition without augmentation.
#   experiments/wild.sh FILE [PROGRAM] [SEEDS]
# FILE: 2WikiMultiHopQA, the official JSON list or one record a line.
set -eu
file="$1"
program="${2:-build/release/hopscope}"
seeds="${3:-5}"
here="$(dirname "$0")"

echo "== composition, augmented"
"$program" run "$here/wild-composition.yaml" --set graph.path="$file" --seeds "$seeds" -o runs/wild-composition
echo
echo "== composition, without augmentation"
"$program" run "$here/wild-composition.yaml" --set graph.path="$file" --set augment.phi=0 --set data.cover=false \
    --seeds "$seeds" -o runs/wild-composition-plain
echo
echo "== comparison, augmented"
"$program" run "$here/wild-comparison.yaml" --set graph.path="$file" --seeds "$seeds" -o runs/wild-comparison

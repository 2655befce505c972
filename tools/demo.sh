#!/bin/sh
# The demonstration: trains on the embedded graph, then asks. usage: tools/demo.sh PROGRAM
set -eu
program="${1:-build/release/hopscope}"

"$program" run experiments/demo.yaml -o runs/demo
echo
"$program" ask runs/demo
echo
echo "Bavaria, in country, currency?"
"$program" ask runs/demo "Bavaria" "in country" "currency"
echo
echo "The run is in runs/demo. Ask it more: $program ask runs/demo HEAD RELATION RELATION"

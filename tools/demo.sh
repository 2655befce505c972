#!/bin/sh
# The demonstration: trains on the embedded graph, then asks. usage: tools/demo.sh PROGRAM
set -eu
program="${1:-build/release/hopscope}"

"$program" run experiments/demo.yaml -o runs/demo
if "$program" --version --json | grep -q '"ask"'; then
    echo
    "$program" ask runs/demo "Bavaria" "in country" "currency"
fi
echo
echo "The run is in runs/demo. Ask it more: $program ask runs/demo HEAD RELATION RELATION"

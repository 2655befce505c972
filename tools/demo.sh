#!/bin/sh
# The demonstration: trains on the embedded graph, asks, draws the curve, names what to do next. Fails where the model does
# not answer 98% of the held-out queries.
# usage: tools/demo.sh PROGRAM
set -eu
program="${1:-build/release/hopscope}"
curve=runs/demo.svg

"$program" run experiments/demo.yaml -o runs/demo
echo
"$program" ask runs/demo -n 12
echo
echo "Germany, next eastward, currency?"
"$program" ask runs/demo Germany "next eastward" currency
echo
if "$program" plot runs/demo -o "$curve"; then
    echo "The curve: $curve (open it in a browser)"
else
    echo "No curve was drawn; everything else stands."
fi

accuracy=$("$program" eval runs/demo --json | sed -n 's/.*"split": *"test_ii"[^}]*"accuracy": *\([0-9.eE+-]*\).*/\1/p')
if ! awk -v a="${accuracy:-0}" 'BEGIN { exit !(a >= 0.98) }'; then
    echo "demo: test_ii is ${accuracy:-unknown}; at least 0.98 was expected" >&2
    exit 1
fi

cat <<END

The run is in runs/demo; its page is runs/demo/report.html (open it in a browser). What to type next:
  $program serve runs                                        # the page live: ask it anything, watch the next run train
  $program ask runs/demo Kenya "next more populous" currency
  $program run experiments/demo.yaml --set model.n_layer=1 -o runs/one-layer    # one layer: learns by heart, never groks
  $program plot runs/one-layer -o runs/one-layer.svg
docs/tutorial.md goes on from here.
END

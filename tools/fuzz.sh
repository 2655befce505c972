#!/bin/sh
# Builds the libFuzzer targets and runs each on its corpus. usage: tools/fuzz.sh [SECONDS-EACH]
set -eu
seconds="${1:-5}"

cmake --preset fuzz >/dev/null
cmake --build --preset fuzz --target fuzzers -j "$(nproc)"
found=0
for program in build/fuzz/tests/fuzz_*; do
    [ -f "$program" ] && [ -x "$program" ] || continue
    found=1
    name=$(basename "$program")
    seeds="tests/fuzz/corpus/$name"
    [ -d "$seeds" ] || seeds="tests/fuzz/corpus/${name#fuzz_}"
    [ -d "$seeds" ] || { echo "fuzz: $name has no corpus in tests/fuzz/corpus" >&2; exit 1; }
    work="build/fuzz/corpus/$name" # what is found goes here, not into the tree
    mkdir -p "$work"
    if ! "$program" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -verbosity=0 -print_final_stats=1 \
        -artifact_prefix="build/fuzz/$name-" "$work" "$seeds" >"build/fuzz/$name.log" 2>&1; then
        cat "build/fuzz/$name.log" >&2
        echo "fuzz: $name found something (input in build/fuzz/$name-*)" >&2
        exit 1
    fi
    echo "fuzz: $name: $(sed -n 's/^stat::number_of_executed_units: *//p' "build/fuzz/$name.log") inputs, nothing found"
done
[ "$found" = 1 ] || { echo "fuzz: no targets were built" >&2; exit 1; }

#!/bin/sh
# Every test: sanitizer builds and fuzz targets, the two commands on a bare machine, then the release build with all tests,
# whose summary comes last. usage: tools/check.sh [fast]     fast: the release build without the slow tests, nothing else
set -eu
jobs=$(nproc)

build() {
    cmake --preset "$1" >/dev/null
    cmake --build --preset "$1" -j "$jobs"
}

if [ "${1:-}" = fast ]; then
    build release
    exec ctest --preset release -j "$jobs" -LE slow
fi

echo "check: address and undefined-behaviour sanitizers"
build asan
ctest --preset asan -j "$jobs"

echo "check: thread sanitizer"
build tsan
ctest --preset tsan -j "$jobs"

echo "check: fuzz targets"
tools/fuzz.sh "${FUZZ_SECONDS:-5}"

# In continuous integration, which runs as root, it must run. Elsewhere it would fill a cache nobody asked for.
echo "check: bare machine"
if [ "${CI:-}" != true ]; then
    echo "bare-root: skipped: for CI=true; by hand, as root: tools/bare-root.sh"
else
    code=0
    tools/bare-root.sh || code=$?
    if [ "$code" = 77 ] && [ "$(id -u)" != 0 ]; then
        echo "bare-root: skipped"
    elif [ "$code" != 0 ]; then
        exit 1
    fi
fi

echo "check: release"
build release
ctest --preset release -j "$jobs"

#!/bin/sh
# Every test: sanitizer builds and fuzz targets first, then the release build with all tests, whose summary comes last.
set -eu
jobs=$(nproc)

build() {
    cmake --preset "$1" >/dev/null
    cmake --build --preset "$1" -j "$jobs"
}

echo "check: address and undefined-behaviour sanitizers"
build asan
ctest --preset asan -j "$jobs"

echo "check: thread sanitizer"
build tsan
ctest --preset tsan -j "$jobs"

echo "check: fuzz targets"
tools/fuzz.sh "${FUZZ_SECONDS:-5}"

echo "check: release"
build release
ctest --preset release -j "$jobs"

#!/bin/sh
# Installs the Debian packages that hopscope needs: says first which, and does nothing when all are there.
# usage: tools/install-deps.sh [models|test|check|page|python|slurm|mpi]     models: also libcurl, to ask language models; test: and what the tests need; check: and the sanitizer and
# fuzz builds, and MPI; page: a browser; python: pip; slurm: a cluster of one machine; mpi: also what ranks need
#
# OpenBLAS is loaded at run time (src/tensor/gemm.c), so its library is all that is needed of it: the threaded build.
set -eu

packages="gcc libc6-dev make cmake ninja-build pkg-config libopenblas0-pthread libjansson-dev libyaml-dev libpcre2-dev libpopt-dev
libsqlite3-dev libxxhash-dev libserd-dev libzstd-dev zlib1g-dev libmicrohttpd-dev gnuplot-nox"
models="libcurl4-openssl-dev"
tests="$models libcmocka-dev sqlite3 python3 openssl"
mpi="libopenmpi-dev openmpi-bin"
case "${1:-}" in
"") ;;
models) packages="$packages $models" ;;
test) packages="$packages $tests" ;;
check) packages="$packages $tests $mpi clang libclang-rt-14-dev" ;;
mpi) packages="$packages $mpi" ;;
python) packages="$packages python3 python3-venv" ;;
page) packages="$packages python3 python3-venv chromium chromium-driver" ;;
slurm) packages="slurmctld slurmd slurm-client munge" ;;
*)
    echo "usage: tools/install-deps.sh [models|test|check|page|python|slurm|mpi]" >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "install-deps: this is no Debian system. The packages, by their Debian names:" >&2
    echo $packages >&2
    exit 1
fi

missing=""
for p in $packages; do
    case "$(dpkg-query -W -f '${Status}' "$p" 2>/dev/null || true)" in
    "install ok installed") ;;
    *) missing="$missing $p" ;;
    esac
done
if [ -z "$missing" ]; then
    exit 0
fi

echo "install-deps: these packages are missing and will be installed:$missing"
root=""
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "install-deps: not root and no sudo. As root: apt-get install$missing" >&2
        exit 1
    fi
    root=sudo
fi
$root apt-get update -q
$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing

#!/bin/sh
# Proves the two commands of README.md on a stranger's machine: builds a bare Debian 12 root (git, make, a C compiler, nothing
# else) from this machine's own apt sources, clones a commit into /root of it, and runs `make demo` and `make test` there with an
# empty environment. usage: tools/bare-root.sh [COMMIT]     COMMIT: default HEAD; what is not committed is not tested
#
# The root is packed once under ${XDG_CACHE_HOME:-$HOME/.cache}/hopscope, beside the packages that apt fetched, and made anew
# when the apt sources or this script change, or after 30 days. Mounts live in a namespace of their own and end with it.
# Exit code: 0, 1, or 77 where it cannot run: not root, or no Debian 12.
set -eu

skip() {
    echo "bare-root: cannot run here: $1" >&2
    exit 77
}

[ "$(id -u)" = 0 ] || skip "only root may make a root file system and enter it"
[ "$(. /etc/os-release && echo "${ID:-} ${VERSION_ID:-}")" = "debian 12" ] || skip "this is no Debian 12, so its apt sources are of another release"
for sources in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list ""; do
    [ -z "$sources" ] || ! [ -s "$sources" ] || break
done
[ -n "$sources" ] || skip "there are no apt sources in /etc/apt"
command -v mmdebstrap >/dev/null || { apt-get update -q && apt-get install -y -q --no-install-recommends mmdebstrap; } >/dev/null 2>&1 ||
    skip "mmdebstrap is missing and cannot be installed"

# "debian 12 with git, a compiler and apt", as README.md says, and make to type the command.
packages=ca-certificates,git,make,gcc,libc6-dev
commit=$(git rev-parse "${1:-HEAD}")
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/hopscope
mkdir -p "$cache/packages/partial"
exec 9>"$cache/lock"
flock 9 # one at a time: apt locks the packages

# How apt reaches its sources here (proxies, time limits), in apt's own words.
apt_settings() {
    apt-config dump --format '%F "%v";%n' Acquire | grep -v '^Acquire::IndexTargets::' || true
    for scheme in http https; do
        proxy=$(printenv "${scheme}_proxy" || true)
        [ -z "$proxy" ] || echo "Acquire::${scheme}::Proxy \"$proxy\";"
    done
}

key=$({ cat "$sources" "$0"; apt_settings; } | sha256sum | cut -c1-16)
base=$cache/bare-root-$key.tar
if [ -z "$(find "$base" -mtime -30 2>/dev/null)" ]; then
    echo "bare-root: making a bare Debian 12 (once; kept in $cache)"
    rm -f "$cache"/bare-root-*.tar*
    mmdebstrap --quiet --variant=minbase --include="$packages" bookworm "$base.part.tar" "$sources" >"$cache/mmdebstrap.log" 2>&1 || {
        tail -n 20 "$cache/mmdebstrap.log" >&2
        echo "bare-root: the root could not be made" >&2
        exit 1
    }
    mv "$base.part.tar" "$base"
fi

root=$(mktemp -d "${TMPDIR:-/tmp}/bare-root.XXXXXX")
trap 'rm -rf --one-file-system "$root"' EXIT
trap 'exit 1' INT TERM HUP
tar -xf "$base" -C "$root"
for file in /etc/resolv.conf /etc/hosts; do
    [ ! -e "$file" ] || cat "$file" >"$root$file"
done
apt_settings >"$root/etc/apt/apt.conf.d/99host"
echo 'Binary::apt::APT::Keep-Downloaded-Packages "true"; APT::Keep-Downloaded-Packages "true";' >"$root/etc/apt/apt.conf.d/99keep"
git -c safe.directory='*' clone -q --no-checkout . "$root/root/hopscope"
git -C "$root/root/hopscope" checkout -q --detach "$commit"

mkdir -p build
log=build/bare-root.log
started=$(date +%s)
echo "bare-root: make demo and make test in it (log: $log)"
if ! ROOT="$root" PACKAGES="$cache/packages" unshare --mount --pid --fork --kill-child sh -eu -c '
    mount --make-rprivate /
    mount -t proc proc "$ROOT/proc"
    mount --rbind /dev "$ROOT/dev"
    mount --bind "$PACKAGES" "$ROOT/var/cache/apt/archives"
    exec env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb chroot "$ROOT" sh -eu -c "
        cd /root/hopscope
        make demo </dev/null
        make test </dev/null"' 9>&- >"$log" 2>&1; then
    tail -n 60 "$log" >&2
    echo "bare-root: failed" >&2
    exit 1
fi
echo "bare-root: $(grep -E '^[0-9]+% tests passed' "$log" | tail -n 1); $(($(date +%s) - started)) s"

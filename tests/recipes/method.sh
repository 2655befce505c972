#!/bin/sh
# The recipe "Adding a method of the microscope" of docs/design.md, followed to the letter in a copy of the sources: the code is
# taken from the page, two files are touched, the program is built, and the method looks at a run afterwards and while it trains.
# usage: method.sh SOURCE_DIR WORK_DIR
set -eu
source=$1
work=$2
rm -rf "$work"
mkdir -p "$work/tree"
(cd "$source" && tar cf - --exclude=./build --exclude=./.git --exclude=./runs --exclude=./tests/golden .) | (cd "$work/tree" && tar xf -)
cd "$work/tree"
awk '/^## Adding a method/ {in_recipe = 1} /^## Adding a graph format/ {in_recipe = 0}
     in_recipe && /```c/ {in_code = 1; next} in_recipe && /```/ {in_code = 0} in_code {sub(/^   /, ""); print}' \
    docs/design.md >src/interp/methods/entropy.c
grep -q hs_method_entropy src/interp/methods/entropy.c
sed -i 's/^    X(lens)  /    X(lens) X(entropy) /' src/interp/methods/methods.h
grep -q entropy src/interp/methods/methods.h
launcher=""
command -v ccache >/dev/null && launcher=-DCMAKE_C_COMPILER_LAUNCHER=ccache
cmake -G Ninja -S . -B build -DCMAKE_BUILD_TYPE=Release $launcher >configure.log
cmake --build build --target hopscope -j2 >build.log || { tail -30 build.log; exit 1; }
hopscope=build/hopscope
"$hopscope" interpret --list | grep -q "how sure is the answer"
common="--set data.entities=30 --set data.relations=6 --set data.out_degree=4 --set data.phi=0 --set model.n_embd=32
        --set model.n_head=2 --set train.steps=30 --set train.batch=50"
printf 'model:\n  n_layer: 2\n' >toy.yaml
"$hopscope" run toy.yaml -o toy $common --set interpret.methods=entropy 2>toy.log
"$hopscope" interpret toy --method entropy --split test_ii --json | grep -q '"measure": "entropy"'
[ "$(sqlite3 toy/run.db "SELECT count(DISTINCT step) > 2 FROM probe WHERE method = 'entropy' AND value > 0")" = 1 ]
echo "entropy: added in two files, looked at a run after and while it trained"

#!/bin/sh
# The recipe "Adding an optimizer" of docs/design.md, followed to the letter in a copy of the sources: the code is taken from the
# page, two files are touched, the program is built and trains with the new rule to the same bits after a stop and with other
# threads. usage: optimizer.sh SOURCE_DIR WORK_DIR
set -eu
source=$1
work=$2
rm -rf "$work"
mkdir -p "$work/tree"
(cd "$source" && tar cf - --exclude=./build --exclude=./.git --exclude=./runs --exclude=./tests/golden .) | (cd "$work/tree" && tar xf -)
cd "$work/tree"
awk '/^## Adding an optimizer/ {in_recipe = 1} /^## Adding a meas/ {in_recipe = 0}
     in_recipe && /```c/ {in_code = 1; next} in_recipe && /```/ {in_code = 0} in_code {sub(/^   /, ""); print}' \
    docs/design.md >src/train/optimizer/heavy_ball.c
grep -q hs_rule_heavy_ball src/train/optimizer/heavy_ball.c
sed -i 's|^    X(LION, lion)$|    X(LION, lion) X(HEAVY_BALL, heavy_ball)|' include/hopscope/train.h
grep -q HEAVY_BALL include/hopscope/train.h
launcher=""
command -v ccache >/dev/null && launcher=-DCMAKE_C_COMPILER_LAUNCHER=ccache
cmake -G Ninja -S . -B build -DCMAKE_BUILD_TYPE=Release $launcher >configure.log
cmake --build build --target hopscope -j2 >build.log || { tail -30 build.log; exit 1; }
hopscope=build/hopscope
"$hopscope" config | grep -q heavy_ball
common="--set data.entities=30 --set data.relations=6 --set data.out_degree=4 --set data.phi=0 --set model.n_embd=32
        --set model.n_head=2 --set train.optimizer=heavy_ball --set train.lr=0.05 --set train.batch=50"
printf 'model:\n  n_layer: 2\n' >toy.yaml
"$hopscope" run toy.yaml -o whole $common --set train.steps=60 --set train.threads=2 2>whole.log
"$hopscope" run toy.yaml -o parts $common --set train.steps=20 --set train.threads=1 2>parts.log
"$hopscope" run toy.yaml -o parts $common --set train.steps=60 --set train.threads=1 2>>parts.log
cmp whole/checkpoints/step-00000060.safetensors parts/checkpoints/step-00000060.safetensors
"$hopscope" verify whole --steps 60 >/dev/null
echo "heavy_ball: added in two files, same bits after a stop and with other threads"

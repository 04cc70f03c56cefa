#!/bin/sh
# A newcomer's first ten minutes on a clean clone: install, separate, mix, train, score. Prints how long each took.
# Usage: newcomer.sh [REPOSITORY]. TRAIN_SECONDS (default 60) bounds the training.
set -eu

repository=$(cd "${1:-$(dirname "$0")/..}" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export SOLOIST_HOME="$folder/home" CI=1
begun=$(date +%s)

step() {
    echo "--- $1"
    shift
    started=$(date +%s)
    "$@"
    echo "    $(($(date +%s) - started)) s"
}

step "clone" git clone --quiet --depth 1 "file://$repository" "$folder/soloist"
cd "$folder/soloist"
python3 -m venv .venv
pip="python3 -m pip --python .venv/bin/python install --quiet --disable-pip-version-check --constraint constraints.txt"
step "install" $pip '.[train,web]'
PATH="$PWD/.venv/bin:$PATH"
step "which model" soloist models recommend
step "separate" soloist separate -m two-stage-hpss --residual examples/band/mixture.flac
step "mix: a page with the stems" soloist separate -m two-stage-hpss --page examples/band/mixture.flac -o page
ls page/two-stage-hpss/mixture/mixer.html
step "train" soloist train tiny-tfc-tdf --quiet --trainer.max_time "00:00:00:${TRAIN_SECONDS:-60}" \
    --data.test_examples 4 -o runs/first
step "separate with it" soloist separate -m runs/first examples/band/mixture.flac -o trained
mkdir -p true
cp examples/band/vocals.flac true/
soloist separate -m two-stage-hpss --stems vocals examples/band/mixture.flac -o guess --template '{stem}.{ext}'
step "score" soloist score true guess
echo "a newcomer's minutes: $((($(date +%s) - begun + 59) / 60))"

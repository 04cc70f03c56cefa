#!/bin/sh
# Run an installed `soloist` from an empty folder and see that the example comes apart into stems.
# Usage: check_wheel.sh PATH_TO_SOLOIST PATH_TO_RECORDING
set -eu

absolute() { echo "$(cd "$(dirname "$1")" && pwd)/$(basename "$1")"; }

soloist=$(absolute "$1")
recording=$(absolute "$2")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
# The check needs no network: the model without weights does it.
export SOLOIST_OFFLINE=1

"$soloist" --help >/dev/null
"$soloist" models
"$soloist" separate "$recording" -o stems

count=$(find stems -type f -size +1k | wc -l)
if [ "$count" -lt 2 ]; then
    echo "soloist separate left $count stems of $recording, not two or more" >&2
    exit 1
fi
echo "the wheel works: $((count)) stems"

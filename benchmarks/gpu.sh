#!/bin/sh
# The GPU's part of the benchmarks, from a checkout alone: no network, no DVC, under 9 minutes on one card.
#
#     benchmarks/gpu.sh FOLDER [--tiny]
#
# Tables go to FOLDER as CSV, everything printed to FOLDER/log.txt. --tiny shows on any machine, on its CPU, that
# every script runs. PYTHON: the interpreter (default python3). A script that fails or overruns its time is named
# at the end, and the others run all the same.
set -u
cd "$(dirname "$0")/.." || exit 1
[ $# -ge 1 ] || { echo "error: usage: benchmarks/gpu.sh FOLDER [--tiny]" >&2; exit 2; }
mkdir -p "$1" && out=$(cd "$1" && pwd) || exit 1
tiny=${2-}
device=cuda
[ -z "$tiny" ] || device=cpu
export PYTHONPATH="$PWD/src:$PWD" PYTHONUNBUFFERED=1
failed=$out/failed
rm -f "$failed"

# measure SECONDS SCRIPT [OPTIONS]: the limits add up to less than 9 minutes.
measure() {
    limit=$1 script=$2
    shift 2
    begun=$(date +%s)
    # shellcheck disable=SC2086
    timeout "$limit" "${PYTHON:-python3}" -m "benchmarks.$script" --device "$device" --out "$out" $tiny "$@" ||
        echo "$script" >> "$failed"
    echo "$script: $(($(date +%s) - begun)) s"
    echo
}

{
    measure 120 training --extrapolate --seconds 15
    measure 80 floor
    measure 60 precision
    measure 30 masks
    measure 30 memory
    measure 60 autoattack
    # Last, and into a folder of its own: compilers are slow, and what is above is written by now.
    [ -n "$tiny" ] || measure 150 precision --compile --network resnet34 --out "$out/compiled"
    "${PYTHON:-python3}" -m benchmarks.machine --out "$out"
} 2>&1 | tee "$out/log.txt"
if [ -s "$failed" ]; then
    echo "error: failed or out of time: $(tr '\n' ' ' < "$failed")" >&2
    exit 1
fi

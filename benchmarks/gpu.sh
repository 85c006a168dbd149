#!/bin/sh
# The GPU's part of the benchmarks, from a checkout alone: no network, no DVC, under 9 minutes on one card.
#
#     benchmarks/gpu.sh FOLDER [--tiny]
#
# Tables go to FOLDER as CSV, everything printed to FOLDER/log.txt. --tiny shows on any machine, on its CPU, that
# every script runs. PYTHON: the interpreter (default python3). A script that fails or is cut because its time is over
# is named at the end, and the others run all the same.
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

# measure SECONDS SCRIPT [OPTIONS]: the limits add up to less than 9 minutes. Rows made before a cut stay in the table.
measure() {
    limit=$1 script=$2
    shift 2
    begun=$(date +%s)
    # shellcheck disable=SC2086
    timeout -k 2 "$limit" "${PYTHON:-python3}" -m "benchmarks.$script" --device "$device" --out "$out" $tiny "$@"
    status=$?
    case $status in
        0) ;;
        124) echo "$script${1:+ $1} (cut after $limit s)" >> "$failed" ;;
        *) echo "$script${1:+ $1} (failed with status $status)" >> "$failed" ;;
    esac
    echo "$script: $(($(date +%s) - begun)) s"
    echo
}

{
    measure 135 training --extrapolate --seconds 15
    measure 85 floor
    measure 60 precision
    measure 45 masks
    measure 30 memory
    measure 60 autoattack
    # Last, and into a folder of its own: compilers are slow, and what is above is written by now.
    [ -n "$tiny" ] || measure 95 precision --compile copy --network resnet34 --out "$out/compiled"
    "${PYTHON:-python3}" -m benchmarks.machine --out "$out"
    [ ! -s "$failed" ] || sed 's/^/error: /' "$failed"
} 2>&1 | tee "$out/log.txt"
[ ! -s "$failed" ]

#!/usr/bin/env bash
# The report of this checkout, from the cache in DVC's remote: only what changed runs. See docs/ci.md.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    echo "error: $1" >&2
    exit 1
}

# The interpreter: REPORT_PYTHON, else that of an activated environment, both used as they are; else .venv's.
if [[ -n ${REPORT_PYTHON:-} ]]; then
    python=$(command -v "$REPORT_PYTHON") || fail "REPORT_PYTHON: $REPORT_PYTHON is not a program"
elif [[ -n ${VIRTUAL_ENV:-} ]]; then
    python=$VIRTUAL_ENV/bin/python
else
    python=$PWD/.venv/bin/python
    [[ -x $python ]] || python3 -m venv .venv
    "$python" -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable \
        '.[workflow,perceptual,strong]'
fi
# Stages call `python`: it must be this one.
PATH=$(cd "$(dirname "$python")" && pwd):$PATH
export PATH

python -c 'import importlib.util as i, sys; sys.exit(not (i.find_spec("dualperturb") and i.find_spec("dvc")))' ||
    fail "$python has no dualperturb or no DVC; install them with: pip install -c constraints.txt -e '.[workflow,perceptual,strong]'"
dualperturb workflow check
remote=$(python -m dvc config core.remote)
[[ -n $remote ]] || fail "this checkout names no default DVC remote; add one with: dvc remote add -d NAME URL"

# Everything at once is quicker than stage by stage; --allow-missing passes over what dvc.lock does not name yet.
python -m dvc pull --run-cache --allow-missing
# A file that was damaged in the remote, or on its way, would be taken for a result.
dualperturb workflow verify
# What dvc.lock names and the remote lacks would be trained here anew: stop instead.
lacking=$(python -m dvc data status --json | python -c '
import json, sys

lacking = json.load(sys.stdin).get("not_in_cache", [])
print(f"{len(lacking)} of the outputs in dvc.lock, {lacking[0]} first" if lacking else "")')
[[ -z $lacking ]] || fail "the DVC remote '$remote' lacks $lacking; push from where they were made: dvc push --run-cache"
# --pull: what ran elsewhere with these parameters comes from the run cache, though dvc.lock does not name it.
python -m dvc repro --pull

if [[ -n ${REPO_TOKEN:-} ]] && command -v cml >/dev/null; then
    # `update` creates the comment where there is none. The comment holds no pictures, so nothing is to be published.
    cml comment update --publish=false --watermark-title=dualperturb reports/report.md
else
    echo "comment: reports/report.md (not posted: that takes CML and a token in REPO_TOKEN)"
fi
echo "report: reports/index.html"

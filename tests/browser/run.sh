#!/usr/bin/env bash
# Drives the page of `derain serve`, and the site of the documentation, in Debian's Chromium. Installs
# what it needs: Chromium through apt where it is missing (as root), the packages of package-lock.json
# through npm. Needs Node.js 20.
#
#   tests/browser/run.sh [--test-name-pattern WORDS]
#
# PYTHON is the interpreter that has derain, CHROMIUM the browser. DERAIN_SCREENSHOTS is a folder for
# screenshots; without it there are none.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)

export PYTHON=${PYTHON:-python3} CHROMIUM=${CHROMIUM:-/usr/bin/chromium}
export PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}

if [ ! -x "$CHROMIUM" ]; then
    apt-get install -y -q --no-install-recommends chromium > /dev/null ||
        { apt-get update -q > /dev/null && apt-get install -y -q --no-install-recommends chromium > /dev/null; }
fi
cd "$here"
if [ ! -d node_modules ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
fi
exec node --test --test-reporter=spec "$@" page.test.mjs site.test.mjs

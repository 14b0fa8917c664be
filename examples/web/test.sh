#!/usr/bin/env bash
# Builds the page and the checks of the kernels, and tests both: test.sh PROGRAM, where PROGRAM is a release build of `venule`.
# What is not at hand is said and left out; without a compiler for WebAssembly that is all, with exit code 3.
set -euo pipefail

program=$(realpath -e -- "${1:?usage: test.sh PROGRAM}")
scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
here=$(dirname "${BASH_SOURCE[0]}")
export VENULE_PROGRAM=$program VENULE_PAGE=$scratch/venule.html VENULE_KERNELS=$scratch/kernels/library.js

"$here/build.sh" "$VENULE_PAGE" "$scratch/kernels"
if ! command -v node >/dev/null; then
    echo 'NOT TESTED: Node is not there; page and kernels are built for WebAssembly'
    exit 0
fi
tests=("$here/test/kernels.test.mjs")
if command -v "${CHROMEDRIVER:-chromedriver}" >/dev/null; then
    tests+=("$here/test/page.test.mjs")
else
    echo 'NOT TESTED: chromedriver is not there; the page is built, but not opened in a browser'
fi
node --test --test-reporter=spec "${tests[@]}"

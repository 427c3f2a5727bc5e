#!/bin/sh
# Everything that `make lint` checks. A checker that cannot be had on this
# machine (no network) is named and passed over; a finding fails.
set -eu
cd "$(dirname "$0")/.."
go=${GO:-go}
tool="$go tool -modfile=tools/go.mod"
export CGO_ENABLED=0

say() { printf 'lint: %s\n' "$*" >&2; }

say 'gofumpt'
bad=$($tool gofumpt -l .)
[ -z "$bad" ] || { say "not formatted, run make fmt:"; echo "$bad" >&2; exit 1; }

say 'go vet'
$go vet ./...

say 'staticcheck'
$tool staticcheck ./...

say 'arm64: build and vet'
GOARCH=arm64 $go build -o /dev/null ./...
GOARCH=arm64 $go vet ./...

say 'import rules'
$go test -count=1 ./internal/rules

# govulncheck needs its database: vuln.go.dev or the mirror in GOVULNDB.
say 'govulncheck'
out=$(mktemp)
trap 'rm -f "$out"' EXIT
status=0
$tool govulncheck ./... >"$out" 2>&1 || status=$?
case $status in
0) ;;
3) cat "$out" >&2; exit 1 ;; # vulnerabilities that our code reaches
*) say "govulncheck is left out: $(tail -n 1 "$out")" ;;
esac
say 'ok'

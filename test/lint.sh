#!/bin/sh
# Everything that `make lint` checks. A checker that cannot be had on this
# machine (no network) is named and passed over; a finding fails.
set -eu
cd "$(dirname "$0")/.."
go=${GO:-go}
tool="$go tool -modfile=tools/go.mod"
export CGO_ENABLED=0

say() { printf 'lint: %s\n' "$*" >&2; }

failed=
check() { # NAME COMMAND...: go on after a finding, and remember it
	say "$1"
	shift
	"$@" >&2 || failed=1
}

formatted() {
	bad=$($tool gofumpt -l .) || return
	[ -z "$bad" ] || { echo "make fmt would change:"; echo "$bad"; return 1; }
}

# govulncheck needs its database: vuln.go.dev or the mirror in GOVULNDB.
vulnerabilities() {
	status=0
	out=$($tool govulncheck ./... 2>&1) || status=$?
	case $status in
	0) ;;
	3) echo "$out"; return 1 ;; # our code reaches one
	*) say "govulncheck is left out: $(echo "$out" | tail -n 1)" ;;
	esac
}

# shellcheck disable=SC2086 # $go and $tool are words
{
	check 'gofumpt' formatted
	check 'go vet' $go vet ./...
	check 'go vet, tag vm' $go vet -tags vm ./...
	check 'staticcheck' $tool staticcheck ./...
	check 'arm64: build' env GOARCH=arm64 $go build ./...
	check 'arm64: vet' env GOARCH=arm64 $go vet ./...
	check 'import rules' $go test -count=1 ./internal/rules
	check 'govulncheck' vulnerabilities
}
[ -z "$failed" ] || { say 'there are findings'; exit 1; }
say 'ok'

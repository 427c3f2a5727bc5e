#!/bin/sh
# install.sh PREFIX: the binaries, and manual pages and completions made from
# the commands themselves.
set -eu
cd "$(dirname "$0")/.."
prefix=$1
bin=$prefix/bin
man=$prefix/share/man/man1
install -d "$bin" "$man" \
	"$prefix/share/bash-completion/completions" \
	"$prefix/share/zsh/site-functions" \
	"$prefix/share/fish/vendor_completions.d"
for program in berth berth-oci berth-registry berth-criu; do
	test/place.sh "bin/$program" "$bin/$program"
done

bin/berth completion bash >"$prefix/share/bash-completion/completions/berth"
bin/berth completion zsh >"$prefix/share/zsh/site-functions/_berth"
bin/berth completion fish >"$prefix/share/fish/vendor_completions.d/berth.fish"

CGO_ENABLED=0 ${GO:-go} run ./cmd/berth-doc man "$man"

# page PROGRAM [TOPIC...]: the other programs say in their help what a manual
# page says; headings are the lines that begin at the margin.
page() {
	program=$1
	title=$(echo "$program" | tr '[:lower:]' '[:upper:]')
	shift
	printf '.TH %s 1 "" berth berth\n' "$title"
	for topic in '' "$@"; do
		[ -z "$topic" ] || printf '.SH "%s %s"\n' "$title" "$(echo "$topic" | tr '[:lower:]' '[:upper:]')"
		# shellcheck disable=SC2086 # no topic, no word
		"bin/$program" $topic --help | sed 's/\\/\\e/g; s/-/\\-/g; s/^\./\\\&./' | awk -v topic="$topic" '
			/^[A-Z ]+:$/ { if (open) print ".fi"; sub(/:$/, ""); print (topic == "" ? ".SH " : ".SS ") "\"" $0 "\""; print ".nf"; open = 1; next }
			{ sub(/^   /, ""); print }
			END { if (open) print ".fi" }'
	done
}
# shellcheck disable=SC2046 # a list of words
page berth-oci $(bin/berth-oci --help | sed -n '/^COMMANDS:/,/^$/s/^   \([a-z]*\) .*/\1/p') >"$man/berth-oci.1"
page berth-registry >"$man/berth-registry.1"
page berth-criu >"$man/berth-criu.1"
echo "installed below $prefix: $(find "$man" -name 'berth*' | wc -l) manual pages, completions for bash, zsh and fish"

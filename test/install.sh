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
install -m 755 bin/berth bin/berth-oci "$bin/"

bin/berth completion bash >"$prefix/share/bash-completion/completions/berth"
bin/berth completion zsh >"$prefix/share/zsh/site-functions/_berth"
bin/berth completion fish >"$prefix/share/fish/vendor_completions.d/berth.fish"

CGO_ENABLED=0 ${GO:-go} run ./cmd/berth-doc man "$man"
echo "installed below $prefix: $(ls "$man" | wc -l) manual pages, completions for bash, zsh and fish"

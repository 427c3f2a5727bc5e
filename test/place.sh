#!/bin/sh
# place.sh PROGRAM TARGET: copies a program by a single write. The page cache
# then keeps it in large pieces, of which a process that starts maps many pages
# at once: docs/decisions/086-programs-in-one-piece.md.
set -eu
new=$2.new
trap 'rm -f "$new"' EXIT
dd if="$1" of="$new" bs=64M iflag=fullblock status=none
chmod 755 "$new"
mv -f "$new" "$2"

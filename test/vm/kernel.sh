# shellcheck shell=bash
# kernel.sh: gets a kernel of Debian ready for run.sh, which reads this file.
# Nothing is installed: packages are unpacked into the user's cache.

cache=${XDG_CACHE_HOME:-$HOME/.cache}/berth-test/vm

# prepare_kernel LINE sets
#   version   6.12.117+deb12-cloud-amd64
#   modules   the directory of its modules
#   vmlinux   what qemu starts
#   initrd    what is needed before the root file system is there
prepare_kernel() {
	mkdir -p "$cache" || return
	local lock status
	exec {lock}>"$cache/lock"
	flock "$lock"
	prepare_locked "$1"
	status=$?
	exec {lock}>&-
	return $status
}

prepare_locked() {
	local dir=$cache/kernel-$1 image
	[ -e "$dir/complete" ] || unpack_kernel "$1" "$dir" || return
	image=$(echo "$dir"/boot/vmlinuz-*)
	version=${image##*/vmlinuz-}
	modules=$dir/lib/modules/$version
	vmlinux=$dir/vmlinux
	initrd=$dir/initrd
	[ -s "$vmlinux" ] || decompress "$image" "$vmlinux" || return
	[ -s "$initrd" ] && [ "$initrd" -nt "$(command -v busybox)" ] || make_initrd "$dir" "$initrd"
}

# unpack_kernel LINE DIR: cloud kernels are small, and have what virtual
# machines need. Package lists may be older than what the mirror has.
unpack_kernel() {
	local meta=linux-image-$1-cloud-amd64 package
	[ "$1" != 6.1 ] || meta=linux-image-cloud-amd64
	for update in : 'apt-get update -qq'; do
		$update >&2 </dev/null
		package=$(apt-cache depends "$meta" 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -1)
		rm -rf "$2"
		mkdir -p "$2" || return
		[ -n "$package" ] && (cd "$2" && apt-get download -q "$package" >&2 && dpkg -x ./*.deb . && rm -f ./*.deb) || continue
		depmod -b "$2" "$(basename "$2"/lib/modules/*)" && touch "$2/complete"
		return
	done
	return 1
}

# decompress IMAGE FILE cuts the kernel out of its self-extracting image: qemu
# enters it directly, which saves a second of emulation. Where the payload is
# says the setup header: Documentation/arch/x86/boot.rst, payload_offset.
decompress() {
	field() { od -An -t"$2" -j"$1" -N"$3" "$image" | tr -d ' '; }
	local image=$1 start length tool
	start=$((($(field 497 u1 1) + 1) * 512 + $(field 584 u4 4)))
	length=$(field 588 u4 4)
	case $(field $start x1 4) in
	28b52ffd) tool=zstd ;;
	02214c18) tool=lz4 ;;
	fd377a58) tool=xz ;;
	*) tool=gzip ;;
	esac
	# They complain about the length that follows the stream.
	tail -c +$((start + 1)) "$image" | head -c "$length" | $tool -dcq >"$2.tmp" 2>/dev/null
	[ "$(head -c 4 "$2.tmp" | tail -c 3)" = ELF ] || cp "$image" "$2.tmp" # qemu takes this, too
	mv "$2.tmp" "$2"
}

# make_initrd DIR FILE: busybox and the modules that lead to the root file
# system. run.sh adds guest/.
make_initrd() {
	local tree=$2.d n=0 seen=' ' name path to
	rm -rf "$tree"
	mkdir -p "$tree"/{bin,dev,proc,sys,lower,upper,root,modules} || return
	cp "$(command -v busybox)" "$tree/bin/busybox" && ln -s busybox "$tree/bin/sh" || return
	while read -r _ path _; do
		name=${path##*/} name=${name%.ko*}
		case $seen in *" $name "*) continue ;; esac
		seen+="$name " n=$((n + 1)) to=$tree/modules/$(printf %03d $n)-$name.ko
		case $path in
		*.xz) xz -dc "$path" ;;
		*.zst) zstd -dcq "$path" ;;
		*) cat "$path" ;;
		esac >"$to" || return
	done < <(for m in virtio_pci virtio_console virtiofs overlay virtio_blk; do
		modprobe -d "$1" -S "$version" --show-depends $m | grep '^insmod '
	done)
	(cd "$tree" && find . | cpio -o -H newc --quiet) >"$2.tmp" && mv "$2.tmp" "$2"
	rm -rf "$tree"
}

#!/bin/bash
# run.sh [option...] -- CMD [ARG...]: run one command as root in a throw-away
# virtual machine and return its exit status.
#
#   --kernel 6.12|6.1   Debian's cloud kernel of that line     (6.12)
#   --v1                cgroup v1 hierarchies instead of pure v2; 6.12 has no
#                       v1 memory and cpuset, so take 6.1
#   --systemd           systemd is PID 1 and CMD a service of it
#   --share DIR         writable in the guest, under the same path; CMD starts
#                       there                                  (this directory)
#   --ro-share DIR      readable in the guest: what is below /tmp, which is the
#                       guest's own (repeatable)
#   --env NAME=VALUE    for CMD (repeatable)
#   --disk SIZE         one more empty disk: /dev/vdb, vdc, … (repeatable)
#   --mem MB, --cpus N  of the guest                           (1024, 2)
#   --one-thread        emulates all CPUs: slower, but sure: see lanes_test.go
#   --append TEXT       more kernel command line
#   --timeout SECONDS   then it ends with status 124           (600)
#   --verbose           the guest's console on stderr, at the end
#   --setup             only get the kernel ready
#
# The guest's root is this machine's root, read-only (the host sees to that),
# with a tmpfs over it: every program installed here is there, and nothing is
# left of what the guest does, except in --share. /scratch is a disk of ext4,
# for what cannot be on an overlay. There is no network.
# Status 125 is a failure of ours, 77 is something that this machine lacks.
set -u -o pipefail
export PATH=$PATH:/usr/sbin:/sbin
here=$(dirname "$(realpath "$0")")
# shellcheck source=test/vm/kernel.sh
. "$here/kernel.sh"

die() { echo "vm: $*" >&2; exit 125; }
lack() { echo "vm: $*" >&2; exit 77; }

# ---- options

kernel=${BERTH_VM_KERNEL:-6.12} v1=0 systemd=0 share=$PWD mem=1024 cpus=2 append='' timeout=600 verbose=0 setup=0 thread=multi
readonly_shares=() disks=(8G) environment=()
while [ $# -gt 0 ]; do
	case $1 in
	--v1) v1=1 ;;
	--systemd) systemd=1 ;;
	--verbose) verbose=1 ;;
	--setup) setup=1 ;;
	--one-thread) thread=single ;;
	--kernel) kernel=$2; shift ;;
	--share) share=$2; shift ;;
	--ro-share) readonly_shares+=("$(realpath "$2")"); shift ;;
	--env) environment+=("$2"); shift ;;
	--disk) disks+=("$2"); shift ;;
	--mem) mem=$2; shift ;;
	--cpus) cpus=$2; shift ;;
	--append) append=$2; shift ;;
	--timeout) timeout=$2; shift ;;
	--) shift; break ;;
	*) sed -n '2,/^set /{/^set/d;s/^# \{0,1\}//p}' "$0" >&2; exit 125 ;;
	esac
	shift
done

# ---- what the machine must have

[ "$(id -u)" = 0 ] || lack 'needs root, for virtiofsd and its private mounts'
for program in qemu-system-x86_64:qemu-system-x86 busybox:busybox-static cpio:cpio modprobe:kmod mkfs.ext4:e2fsprogs xz:xz-utils zstd:zstd lz4:lz4; do
	command -v "${program%:*}" >/dev/null || lack "${program%:*} is not installed: apt-get install ${program#*:}"
done
virtiofsd=
for f in /usr/lib/qemu/virtiofsd /usr/libexec/virtiofsd; do [ -x $f ] && virtiofsd=$f && break; done
[ -n "$virtiofsd" ] || lack 'virtiofsd is not installed: apt-get install qemu-system-common'
prepare_kernel "$kernel" || lack "no Debian kernel $kernel: neither cached in $cache nor to be had with apt-get download"
[ $setup = 0 ] || { echo "vm: kernel $version is ready"; exit 0; }
[ $# -gt 0 ] || die 'no command'

# ---- the run's own directory, and the way out

share=$(realpath "$share") || die 'no such share'
[ "$share" != / ] || die 'the share must not be /'
run=$(mktemp -d "${TMPDIR:-/tmp}/berth-vm.XXXXXX") || die mktemp
children=()
leave() {
	trap - EXIT
	trap '' INT TERM HUP # one is enough
	exec 7>&- 8>&-       # what the readers of the guest's output wait for
	for p in "${children[@]}"; do kill "$p" 2>/dev/null; done
	wait 2>/dev/null
	rm -rf --one-file-system "$run"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# ---- directories for the guest: a server each, in a mount namespace of its
# own, where a read-only one is mounted so

qemu_shares=() mounts='' count=0
add_share() { # TAG DIR ro|rw CACHE PATH
	local socket=$run/fs$count.sock source=$run/source$count
	mkdir -p "$source"
	unshare -m --propagation private sh -c '
		mount --bind "$1" "$2" && { [ "$3" = rw ] || mount -o remount,bind,ro "$2"; } &&
		exec "$4" --socket-path="$5" -o source="$2" -o cache="$6" -o sandbox=chroot -o log_level=err --thread-pool-size=0
	' sh "$2" "$source" "$3" "$virtiofsd" "$socket" "$4" >"$run/fs$count.log" 2>&1 </dev/null &
	children+=($!)
	qemu_shares+=(-chardev "socket,id=fs$count,path=$socket" -device "vhost-user-fs-pci,chardev=fs$count,tag=$1,queue-size=512")
	mounts+="$1 $3 $5"$'\n'
	count=$((count + 1))
}
shares_ready() {
	local k
	for ((k = 0; k < count; k++)); do [ -S "$run/fs$k.sock" ] || return 1; done
}
add_share root / ro always /
add_share modules "$modules" ro always "/lib/modules/$version"
add_share share "$share" rw auto "$share"
for ((k = 0; k < ${#readonly_shares[@]}; k++)); do
	add_share "ro$k" "${readonly_shares[k]}" ro always "${readonly_shares[k]}"
done

# ---- disks; the first is /scratch

qemu_disks=()
for ((k = 0; k < ${#disks[@]}; k++)); do
	truncate -s "${disks[k]}" "$run/disk$k" || die "no disk of ${disks[k]}"
	qemu_disks+=(-drive "if=none,id=disk$k,file=$run/disk$k,format=raw,cache=unsafe,discard=unmap" -device "virtio-blk-pci,drive=disk$k,serial=berth$k")
done
mkfs.ext4 -q -F -E lazy_itable_init=1,lazy_journal_init=1,nodiscard -O ^has_journal "$run/disk0" || die mkfs

# ---- the last part of the initramfs: what the guest does this time

tree=$run/initrd.d
mkdir -p "$tree/vm"
cp "$here"/guest/* "$tree/vm/"
mv "$tree/vm/init" "$tree/init"
printf '%s' "$mounts" >"$tree/vm/mounts"
printf 'systemd=%s v1=%s share=%q\n' $systemd $v1 "$share" >"$tree/vm/conf"
{
	printf 'cd %q\n' "$share"
	for e in "${environment[@]}"; do printf 'export %s=%q\n' "${e%%=*}" "${e#*=}"; done
	printf 'exec'; printf ' %q' "$@"; echo
} >"$tree/vm/command"
(cd "$tree" && find . | cpio -o -H newc --quiet | cat "$initrd" - >"$run/initrd") || die 'no initramfs'

# ---- qemu

# What is cheap to emulate: no AVX and no ERMS, no SMAP, no fifth page level.
cpu=max,-avx,-avx2,-erms,-fsrm,-smap,-smep,-la57,-pku,-pks
# microvm boots a second faster, but has no timer to measure the TSC with; that
# works only where the frequency is known and can be told (under TCG the
# guest's TSC is the host's).
machine=q35,sata=off,smbus=off,smm=off,usb=off,vmport=off,i8042=off tsc=
if [ "${BERTH_VM_MACHINE:-}" != q35 ] && grep -qm1 '^flags.* hypervisor.* tsc_known_freq\|^flags.* tsc_known_freq.* hypervisor' /proc/cpuinfo; then
	tsc=tsc_early_khz=$(awk '/^cpu MHz/ {printf "%d", $4 * 1000; exit}' /proc/cpuinfo)
	machine=microvm,pcie=on,acpi=on,rtc=on,pit=on,pic=on,isa-serial=on
fi
# norandmaps makes fork and exec four times faster: translated code is kept by
# virtual address. A test that needs ASLR sets kernel/randomize_va_space.
cmdline="console=ttyS0 quiet panic=-1 rdinit=/init norandmaps nokaslr no5lvl mitigations=off init_on_alloc=0
	hardened_usercopy=off tsc=reliable $tsc no_timer_check nowatchdog cryptomgr.notests random.trust_cpu=on psi=1
	net.ifnames=0 apparmor=1 systemd.unified_cgroup_hierarchy=1 $append"

# The pipes stay open here until qemu is gone, however it ends: their readers
# see the end then, and not before.
mkfifo "$run/out" "$run/err"
exec 7<>"$run/out" 8<>"$run/err"
cat "$run/out" 7>&- 8>&- & out=$!
cat "$run/err" >&2 7>&- 8>&- & err=$!

for _ in $(seq 500); do shares_ready && break; sleep 0.02; done
shares_ready || { cat "$run"/fs*.log >&2; die 'virtiofsd did not start'; }
# shellcheck disable=SC2086 # $cmdline has line ends
timeout -k 5 "$timeout" qemu-system-x86_64 \
	-M "$machine" -accel tcg,thread=$thread -cpu "$cpu" -smp "$cpus" -m "$mem" \
	-nodefaults -no-user-config -display none -monitor none -no-reboot -msg timestamp=off \
	-object "memory-backend-memfd,id=mem,size=${mem}M,share=on" -machine memory-backend=mem \
	"${qemu_shares[@]}" "${qemu_disks[@]}" -device virtio-serial-pci \
	-chardev "file,id=out,path=$run/out" -device virtserialport,chardev=out,name=out \
	-chardev "file,id=err,path=$run/err" -device virtserialport,chardev=err,name=err \
	-chardev "file,id=status,path=$run/status" -device virtserialport,chardev=status,name=status \
	-serial "file:$run/console" -kernel "$vmlinux" -initrd "$run/initrd" -append "$(echo $cmdline)" \
	</dev/null >"$run/qemu.log" 2>&1 7>&- 8>&- &
children+=($!)
wait $!; ended=$?
exec 7>&- 8>&-
wait $out $err 2>/dev/null

status=$(tr -cd 0-9 <"$run/status" 2>/dev/null)
if [ -z "$status" ] || [ $verbose = 1 ]; then
	tail -n 100 "$run/qemu.log" "$run"/fs*.log "$run/console" >&2 2>/dev/null
fi
[ -n "$status" ] && exit "$status"
[ $ended != 124 ] || { echo "vm: not done after $timeout s" >&2; exit 124; }
die "the machine ended by itself (qemu: $ended)"

#!/bin/sh
# packages.sh SET...: install the Debian packages that a set of programs of
# ours needs and that are missing. Says which. Without root it only names them.
set -eu

# What berth's own tests call.
test='busybox-static conmon containerd criu crun docker-registry docker.io gcc iproute2 libc6-dev libcap2-bin libseccomp-dev mmdebstrap nftables podman procps qemu-user-static runc skopeo strace umoci util-linux'
# What the virtual machines of test/vm are made of, and what is in them. Their
# kernels are not installed: run.sh keeps them in the user's cache directory.
vm='apparmor busybox-static cpio dbus e2fsprogs kmod lz4 qemu-system-common qemu-system-x86 systemd util-linux xz-utils zstd'
# What make bench compares with.
bench="$test"

want=
for set in "$@"; do
	case $set in
	test) want="$want $test" ;;
	vm) want="$want $vm" ;;
	bench) want="$want $bench" ;;
	*) echo "packages.sh: no set $set; there are test, vm and bench" >&2; exit 2 ;;
	esac
done

command -v dpkg-query >/dev/null || { echo "packages: not a Debian system; these are needed:$want" >&2; exit 0; }
missing=
for p in $want; do
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
	echo "packages: missing, and only root can install them:$missing" >&2
	exit 0
fi

# Nothing that a package starts by itself is wanted: no dockerd, no registry.
# policy-rc.d is Debian's way to say so; one that is there stays.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
	trap 'rm -f $policy' EXIT
fi
echo "packages: installing$missing" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq -o DPkg::Lock::Timeout=600 </dev/null >&2
# shellcheck disable=SC2086 # a list of words
apt-get install -y -qq -o DPkg::Lock::Timeout=600 --no-install-recommends $missing </dev/null >&2

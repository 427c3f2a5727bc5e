#!/bin/sh
# look.sh BERTH: run one container on the image `host` and let it tell what it
# sees. The engine's directories are temporary; nothing stays.
set -eu
berth=$1
if [ "$(id -u)" != 0 ]; then
	echo 'make run makes namespaces, mounts and cgroups: run it as root' >&2
	exit 1
fi
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/berth-run.XXXXXX")
trap 'rm -rf "$dir"' EXIT

outside=$(for ns in cgroup ipc mnt net pid time user uts; do
	printf '%s=%s ' $ns "$(readlink /proc/self/ns/$ns 2>/dev/null || true)"
done)

# The script travels on stdin; the host's namespaces travel as a variable.
"$berth" --root "$dir/lib" --state "$dir/run" run --rm -i --hostname aboard -e OUTSIDE="$outside" host sh -s <<'EOF'
row() { printf '  %-12s %s\n' "$1" "$2"; }
echo "Aboard. This is what the container sees:"
row pid "$$ of $(ls -d /proc/[0-9]* | wc -l) processes"
row hostname "$(hostname)"
row user "$(id -un), capabilities $(sed -n 's/^CapEff:\t0*//p' /proc/self/status)"
for pair in $OUTSIDE; do
	ns=${pair%%=*}
	if [ "$(readlink /proc/self/ns/$ns)" = "${pair#*=}" ]; then same="$same $ns"; else own="$own $ns"; fi
done
row namespaces "its own:${own:- none}; the host's:${same:- none}"
row cgroup "$(sort -t: -k1n /proc/self/cgroup | cut -d: -f3 | sort -u | tr '\n' ' ')(sees itself as the top)"
row limits "$(sed -n 's/^Max open files *//p' /proc/self/limits | awk '{print $1" open files"}'), seccomp mode $(sed -n 's/^Seccomp:\t//p' /proc/self/status)"
row root "$(awk '$5 == "/" { for (i = 6; i <= NF; i++) if ($i == "-") { print $(i+1)" over the machine'\''s own /" } }' /proc/self/mountinfo)"
row network "$(ls /sys/class/net 2>/dev/null | tr '\n' ' ')"
row mounts "$(wc -l </proc/self/mountinfo) in its table"
touch /written-in-the-container
row writes "to a throw-away copy: /written-in-the-container is made here"
EOF

if [ -e /written-in-the-container ]; then
	echo 'and is on the host as well: this is a bug' >&2
	exit 1
fi
echo "Back ashore: the file is not on the host, and the container is gone."

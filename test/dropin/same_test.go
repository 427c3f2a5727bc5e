package dropin

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// probe prints what a program in a container sees of it. What differs from one
// run to the next is left out: ids of mounts and containers. So are the mounts of
// masks, which are made of other things.
// So is what runc 1.1 lets every container do, and runc 1.2 does not: use tun;
// and in a user namespace the owner of the directory of message queues, which
// is whoever makes the ipc namespace.
const probe = `
id
grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups|CapAmb)' /proc/self/status
cat /proc/self/oom_score_adj
awk '/^Max/ { print }' /proc/self/limits
env | grep -v -e HOSTNAME= -e container_uuid=
hostname; pwd; umask; tty
cat /proc/1/comm
for f in kernel/shmmax net/core/somaxconn net/ipv4/ip_unprivileged_port_start fs/mqueue/queues_max; do cat /proc/sys/$f; done
awk '$5 !~ "^/(proc|sys/firmware|sys/fs/cgroup$|sys/fs/cgroup/unified|.*/release_agent)" { for (i = 7; $i != "-"; i++); print "mount", $5, $6, $(i+1) }' /proc/self/mountinfo
awk '$2 ~ "^/(dev|dev/shm|dev/pts|t|run|tmp)$" { print "data", $2, $4 }' /proc/mounts
ls -ln /dev | awk '{ print "dev", $1, $3, $4, $5, $6 ~ /^[0-9]+$/ ? $6 : "", $NF }' | grep -v -e ' core$' -e ' mqueue$'
for c in pids/pids.max memory/memory.limit_in_bytes memory/memory.memsw.limit_in_bytes memory/memory.soft_limit_in_bytes memory/memory.swappiness \
	memory/memory.oom_control cpu/cpu.shares cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us cpuset/cpuset.cpus cpuset/cpuset.mems \
	blkio/blkio.weight devices/devices.list pids.max memory.max memory.swap.max cpu.max cpu.weight; do
	[ -e /sys/fs/cgroup/$c ] && sed "s|^|$c |" /sys/fs/cgroup/$c
done | grep -v 'c 10:200 rwm$'
for f in /proc/kcore /proc/keys /proc/timer_list /sys/firmware; do [ -s $f ] || [ -d $f -a -n "$(ls -A $f 2>/dev/null)" ] && echo open $f; done
for d in null zero full tty random; do [ -r /dev/$d ] && [ -w /dev/$d ] && echo usable $d; done
touch /etc/x 2>&1; mkdir /sys/fs/cgroup/pids/x 2>&1
true
`

// TestDockerSameAsRunc: whatever flags ask for, a program sees with berth-oci
// what it sees with runc.
func TestDockerSameAsRunc(t *testing.T) {
	e := useDocker(t)
	dir := sharedMount(t)
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, flags := range []string{
		"",
		"--network none --read-only --tmpfs /run:size=1m,mode=755 --tmpfs /tmp:exec",
		"--user 1000:2000 --group-add 7 --workdir /tmp -e A=b -e HOME=",
		"--cap-drop ALL --security-opt no-new-privileges --security-opt seccomp=unconfined",
		"--cap-add SYS_ADMIN --cap-add SYS_PTRACE --cap-drop MKNOD",
		"--memory 64m --memory-swap 128m --memory-reservation 32m --memory-swappiness 10 --oom-score-adj 500",
		"--cpus 0.5 --cpu-shares 512 --cpuset-cpus 0 --cpuset-mems 0 --pids-limit 50",
		"--blkio-weight 300 --oom-kill-disable --memory 32m",
		"--ulimit nofile=100:200 --ulimit core=0 --ulimit nproc=77",
		"--sysctl net.core.somaxconn=99 --sysctl kernel.shmmax=65536 --sysctl net.ipv4.ip_unprivileged_port_start=0",
		"--device /dev/fuse:/dev/f:r --device-cgroup-rule c@42:*@rwm",
		"--ipc none --shm-size 4m",
		"--ipc private --uts host --pid host",
		"--network host --cgroupns private",
		"--init --stop-signal USR1",
		"--security-opt systempaths=unconfined",
		"-v DIR:/v -v DIR/file:/etc/file:ro --mount type=bind,src=DIR,dst=/slave,bind-propagation=rslave --mount type=tmpfs,dst=/t,tmpfs-size=1m",
		"-v named:/named --volume-driver local -v /anonymous",
		"--tty",
	} {
		t.Run(flags, func(t *testing.T) {
			e := &engine{t: t, words: e.words, log: e.log}
			args := append([]string{"run", "--rm"}, splitFlags(strings.ReplaceAll(flags, "DIR", dir))...)
			if !strings.Contains(flags, "host") {
				args = append(args, "--hostname", "same")
			}
			runc := e.see(append(args, "--runtime", "runc")...)
			if diff := cmp.Diff(runc, e.see(append(args, "--runtime", "berth")...)); diff != "" {
				t.Errorf("runc (-) and berth-oci (+) show:\n%s", diff)
			}
		})
	}
}

// TestPodmanSameAsRunc is the same with podman, whose specs are its own.
func TestPodmanSameAsRunc(t *testing.T) {
	e := usePodman(t)
	for _, flags := range []string{
		"",
		"--read-only --user 1000:2000 --group-add 7 --workdir /tmp -e A=b",
		"--cap-drop all --security-opt no-new-privileges --security-opt seccomp=unconfined",
		"--cap-add SYS_ADMIN --cap-drop MKNOD --umask 0027",
		"--memory 64m --memory-swap 128m --memory-reservation 32m --oom-score-adj 500 --pids-limit 50",
		"--cpus 0.5 --cpu-shares 512 --cpuset-cpus 0",
		"--sysctl net.core.somaxconn=99 --sysctl kernel.shmmax=65536",
		"--ipc private --uts host --pid host --cgroupns private",
		"--device /dev/fuse:/dev/f:r --shm-size 4m",
		"--security-opt unmask=ALL",
		"--uidmap 0:100000:5000 --gidmap 0:100000:5000",
		"--systemd always",
		"--tty",
	} {
		t.Run(flags, func(t *testing.T) {
			args := append([]string{"run", "--rm", "--network", "none"}, splitFlags(flags)...)
			if !strings.Contains(flags, "host") {
				args = append(args, "--hostname", "same")
			}
			last := len(e.words) - 1 // the path of the runtime
			ours := &engine{t: t, words: e.words}
			theirs := &engine{t: t, words: append(slices.Clone(e.words[:last]), "runc")}
			args = append(args, limits...)
			if diff := cmp.Diff(theirs.see(args...), ours.see(args...)); diff != "" {
				t.Errorf("runc (-) and berth-oci (+) show:\n%s", diff)
			}
		})
	}
}

// see runs the probe and sorts its lines: the order of mounts and of rules for
// devices is nobody's business.
func (e *engine) see(args ...string) []string {
	e.t.Helper()
	lines := strings.Split(e.want(0, "uid=", append(args, image, "sh", "-c", probe)...), "\n")
	slices.Sort(lines)
	return lines
}

// splitFlags makes words of flags; @ stands for a blank in a word.
func splitFlags(flags string) []string {
	words := strings.Fields(flags)
	for i := range words {
		words[i] = strings.ReplaceAll(words[i], "@", " ")
	}
	return words
}

// sharedMount is a directory where a mount begins that tells others of what
// happens in it.
func sharedMount(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("shared", dir, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	if err := unix.Mount("", dir, "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestDockerSlaveMount: what the machine mounts later is there in the container.
func TestDockerSlaveMount(t *testing.T) {
	e := useDocker(t)
	dir := sharedMount(t)
	e.detached("slave", "-v", dir+":/v:rslave", "-v", dir+":/p", image, "sleep", "1000")
	in := filepath.Join(dir, "in")
	if err := os.Mkdir(in, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("in", in, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(in, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	e.want(0, "/v/in/file\n", "exec", "slave", "ls", "/v/in/file")
	e.want(1, "No such file", "exec", "slave", "ls", "/p/in/file") // private, docker's default
}

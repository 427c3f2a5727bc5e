package vm

import (
	"slices"
	"testing"
)

// job is a package whose tests run in a guest.
type job struct {
	pkg  string   // below the module's root
	run  string   // -test.run; empty is all
	skip string   // -test.skip
	must []string // what the lane is there for: these may not skip
}

// calculates are tests of runtime/cgroup that take long and look at no machine.
const calculates = "TestFilterAgreesWithRules|TestDecodeAgrees"

// v2 is the machine of most users: a pure cgroup v2 tree with every
// controller, and AppArmor.
var v2 = []job{
	{
		pkg:  "runtime/cgroup",
		skip: calculates,
		must: []string{"TestCreateWritesLimits", "TestHandsDownForReal", "TestDevicesAreDenied/v2", "TestDecodeForReal", "TestWatchOOM", "TestNeighboursHaveLimits"},
	},
	{
		pkg: "runtime/oci",
		run: "^Test(Life|KillAll|Delete|MemoryLimit|PidsLimit|Devices|FailAtEveryStep|ForeignGroup|ExecJoins|ExecIgnorePaused|UserNamespace$|RestoreFails)" +
			"|TestPeers/crun/default",
		must: []string{"TestRestoreFailsAtEveryStep"},
	},
	{pkg: "cmd/berth", run: "TestScript/^(exec|monitor_killed|rm_stuck|run_rm|stop_kill)$"},
	{
		pkg: "cmd/berth-oci",
		run: "Test(Commands|Run|Events|ReadOnlyGroups|V2|AppArmor|Checkpoint)",
		must: []string{
			"TestV2CPUIsThrottled", "TestV2MemoryKills", "TestV2PidsRefuse", "TestV2IOIsThrottled",
			"TestV2DevicesAreFiltered", "TestV2Traffic", "TestV2NetworkClass", "TestAppArmorConfines",
			"TestCheckpointGoesOn", "TestCheckpointLeaveRunning", "TestCheckpointPreDump", "TestCheckpointForeground", "TestCheckpointFiles",
			"TestCheckpointTerminal", "TestCheckpointUserNamespace", "TestCheckpointHooks", "TestCheckpointNetwork", "TestCheckpointConfined", "TestCheckpointFails",
			"TestCheckpointTCP", "TestCheckpointLocks", "TestCheckpointLinkRemap", "TestCheckpointSocketOutside", "TestCheckpointAutoDedup",
			"TestCheckpointGroupModes", "TestCheckpointStrict", "TestCheckpointProfile", "TestCheckpointStuck",
			"TestCheckpointInterrupted", "TestCheckpointRedirecting", "TestCheckpointPageServer", "TestCheckpointLazyPages", "TestCheckpointLazyPagesInVain", "TestCheckpointTCPClose", "TestCheckpointTCPInFlight",
		},
	},
}

// systemd is a machine with systemd as process 1.
var systemd = []job{
	{pkg: "runtime/cgroup", run: "TestScope|TestFreeze|TestKillFindsEverybody|TestEnter", must: []string{"TestScopeForReal"}},
	{pkg: "runtime/cgroup/systemd", must: []string{"TestScope"}},
	{pkg: "cmd/berth-oci", run: "TestSystemd", must: []string{"TestSystemdCgroup", "TestSystemdReload", "TestSystemdUser", "TestSystemdCheckpoint"}},
}

// v1 is the oldest that we support: Linux 6.1, with every controller in a
// hierarchy of its own and no unified tree.
var v1 = []job{
	{pkg: "runtime/cgroup", skip: calculates, must: []string{"TestDevicesV1", "TestWatchOOM"}},
	{pkg: "runtime/oci", run: "^Test(Life|KillAll|DeleteTakesAll|Devices|ExecJoins)"},
}

// One thread emulates both CPUs. Linux changes its own code while it runs: a
// breakpoint first, the rest after every CPU has answered, and then the
// breakpoint goes. QEMU, which translates code on a thread for each CPU, can
// keep one of them running into a breakpoint that is gone: "Oops: int3".
func TestV2(t *testing.T) { lane(t, []string{"--one-thread"}, v2) }

func TestSystemd(t *testing.T) { lane(t, []string{"--systemd", "--cpus", "1"}, systemd) }

func TestV1(t *testing.T) { lane(t, []string{"--kernel", "6.1", "--v1", "--cpus", "1"}, v1) }

// packages are all that some lane runs tests of.
func packages() (all []string) {
	for _, j := range slices.Concat(v2, systemd, v1) {
		all = append(all, j.pkg)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

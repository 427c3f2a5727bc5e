// Package vm runs tests of other packages in throw-away virtual machines, for
// what the machine at hand does not have: cgroup v2 with all its controllers,
// systemd as process 1, AppArmor, an older kernel. The tests of this package
// are those of the guests: go test -v shows each as a subtest.
//
//	go test -c ──► binaries ──► run.sh ──► qemu ──► guest/init, system, job
//	                                                      │ -test.v=test2json
//	TestV2/runtime/cgroup/TestFreeze ◄── replay ◄── output files in the share
//
// lanes_test.go says which machines there are and what runs in each; run.sh
// alone runs any command in such a machine. docs/testing.md has the use of
// both.
//
// Build tag vm: files with tests that only make sense there, because they
// change what belongs to the whole machine. Everything else is a test like
// others, that skips where it lacks something.
package vm

// Package ledger notices what a test leaves on the machine.
//
//	func TestSomething(t *testing.T) {
//		ledger.Check(t, ledger.Scope{Marks: []string{id, dir}, Dirs: []string{dir}})
//		…
//	}
//
// Check writes down, now and once more when the test ends, every
//
//	mount    a line of mountinfo           cgroup   a group in any hierarchy
//	link     a network interface           netns    a namespace that is kept
//	process  a process                     fd       an open file of the test itself
//	file     a file below Scope.Dirs
//
// and fails the test when the second list, after two seconds of grace, has
// something that the first has not.
//
// Tests of other packages and other people's work go on at the same time, so
// a new thing counts only when it is ours: it bears one of the marks (a unique
// word: a container's id, a temporary directory), or it is a process that
// descends from the test. With BERTH_LEDGER=strict, on a machine where
// nothing else runs, everything new counts.
//
// Open files are those of the whole test process: a test that calls t.Parallel
// sets Scope.Shared.
package ledger

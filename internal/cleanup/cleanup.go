// Package cleanup undoes the steps of an operation that did not finish.
//
//	undo := cleanup.New()
//	defer undo.Run()
//	dir, err := make()
//	undo.Add(func() error { return remove(dir) })
//	…
//	undo.Release() // the commit point: from here on nothing is undone
package cleanup

import "errors"

// Stack is a list of undo functions, run last in, first out.
type Stack struct{ steps []func() error }

// New returns an empty stack.
func New() *Stack { return &Stack{} }

// Add pushes an undo step.
func (s *Stack) Add(f func() error) { s.steps = append(s.steps, f) }

// Release forgets all steps: the operation is committed.
func (s *Stack) Release() { s.steps = nil }

// Run undoes everything added since the last Release, newest first, and
// returns the joined errors of steps that could not be undone.
func (s *Stack) Run() error {
	var errs []error
	for len(s.steps) > 0 {
		last := len(s.steps) - 1
		f := s.steps[last]
		s.steps = s.steps[:last]
		if err := f(); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// As in berth-oci: see its main.go.
//
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0

package server

import (
	"bytes"
	"sync"
)

// lockedBuffer is a buffer that one goroutine writes and another looks at.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lockedBuffer) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Len()
}

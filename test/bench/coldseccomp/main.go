// Coldseccomp prints how many nanoseconds it took to compile the default
// seccomp profile, as the first thing of a process: with no page touched and no
// cache warm, as a container's start finds it.
package main

import (
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/berth-engine/berth/runtime/seccomp"
)

func main() {
	p := seccomp.Default(seccomp.Host{Arch: runtime.GOARCH, Kernel: [2]int{5, 10}})
	start := time.Now()
	_, err := seccomp.Compile(p, runtime.GOARCH)
	took := time.Since(start)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(took.Nanoseconds())
}

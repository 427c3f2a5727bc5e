package seccomp

import "testing"

// BenchmarkCompile is on the way of every container start.
func BenchmarkCompile(b *testing.B) {
	for _, arch := range []string{"amd64", "arm64"} {
		b.Run(arch, func(b *testing.B) {
			p := Default(Host{Arch: arch, Caps: defaultCaps, Kernel: [2]int{6, 18}})
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Compile(p, arch); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

var defaultCaps = []string{"CAP_SYS_CHROOT"}

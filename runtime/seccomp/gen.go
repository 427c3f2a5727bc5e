//go:build ignore

// Gen writes ztable.go, the numbers of all system calls.
//
// It lets the C preprocessor read the kernel's user headers and adds the calls
// that are newer than those headers. The headers come from three packages:
// linux-libc-dev, linux-libc-dev-arm64-cross and linux-libc-dev-armhf-cross.
//
//	go generate ./runtime/seccomp
//	go run gen.go -root DIR     the packages were unpacked below DIR
package main

import (
	"bytes"
	"flag"
	"fmt"
	"go/format"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A column is one set of numbers: one header, seen by one preprocessor call.
type column struct {
	field   string   // its place in the row; the order is that of type abi
	include string   // the header
	dirs    []string // where it and what it includes are
	defines []string
	only    []string // newer calls that this one has and others have not: name=number
}

var x86 = []string{"usr/include/x86_64-linux-gnu", "usr/include"}

var columns = []column{
	{"amd64", "asm/unistd_64.h", x86, nil, []string{"uretprobe=335", "uprobe=336"}},
	{"i386", "asm/unistd_32.h", x86, nil, nil},
	{"x32", "asm/unistd_x32.h", x86, []string{"__X32_SYSCALL_BIT=0x40000000"}, nil},
	{"arm64", "asm/unistd.h", []string{"usr/aarch64-linux-gnu/include"}, nil, nil},
	{"arm", "asm/unistd.h", []string{"usr/arm-linux-gnueabihf/include"}, []string{"__ARM_EABI__"}, nil},
}

// newer holds the calls after set_mempolicy_home_node (450), the last one of
// the headers of Linux 6.1. Since 424 a call has one number everywhere.
var newer = []string{
	"cachestat=451", "fchmodat2=452", "map_shadow_stack=453", // 6.5, 6.6
	"futex_wake=454", "futex_wait=455", "futex_requeue=456", // 6.7
	"statmount=457", "listmount=458", // 6.8
	"lsm_get_self_attr=459", "lsm_set_self_attr=460", "lsm_list_modules=461", // 6.8
	"mseal=462",                                                                // 6.10
	"setxattrat=463", "getxattrat=464", "listxattrat=465", "removexattrat=466", // 6.13
	"open_tree_attr=467",                   // 6.15
	"file_getattr=468", "file_setattr=469", // 6.17
	"listns=470",           // 6.19
	"rseq_slice_yield=471", // 7.0
}

func main() {
	log.SetFlags(0)
	root := flag.String("root", "/", "directory the header packages are installed or unpacked in")
	out := flag.String("o", "ztable.go", "file to write")
	flag.Parse()

	table := map[string][]int64{}
	for i, c := range columns {
		numbers, err := c.read(*root)
		if err != nil {
			log.Fatalf("%s: %v", c.field, err)
		}
		for name, nr := range numbers {
			if table[name] == nil {
				table[name] = slices.Repeat([]int64{-1}, len(columns))
			}
			table[name][i] = nr
		}
	}
	text, err := render(table)
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(*out, text, 0o644); err != nil {
		log.Fatal(err)
	}
}

// read returns the numbers of one header and the newer ones.
func (c column) read(root string) (map[string]int64, error) {
	macros, err := c.macros(root)
	if err != nil {
		return nil, err
	}
	numbers := map[string]int64{}
	for name, value := range macros {
		call, ok := strings.CutPrefix(name, "__NR_")
		if !ok {
			call, ok = strings.CutPrefix(name, "__ARM_NR_")
		}
		if !ok || strings.ToUpper(call) == call || call == "syscalls" || call == "arch_specific_syscall" {
			continue
		}
		if numbers[call], err = eval(value, macros); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	base := int64(0)
	if c.field == "x32" {
		base = 1 << 30
	}
	for _, def := range append(newer, c.only...) {
		name, value, _ := strings.Cut(def, "=")
		nr, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return nil, err
		}
		if had, ok := numbers[name]; ok && had != base+nr {
			return nil, fmt.Errorf("%s is %d in the header and %d here", name, had, base+nr)
		}
		numbers[name] = base + nr
	}
	return numbers, nil
}

// macros returns every macro that is defined after the header was read.
func (c column) macros(root string) (map[string]string, error) {
	args := []string{"-E", "-dM", "-nostdinc"}
	for _, d := range c.dirs {
		args = append(args, "-isystem", filepath.Join(root, d))
	}
	for _, d := range c.defines {
		args = append(args, "-D"+d)
	}
	cmd := exec.Command("cc", append(args, "-")...)
	cmd.Stdin = strings.NewReader("#include <" + c.include + ">\n")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	macros := map[string]string{}
	for line := range strings.Lines(string(out)) {
		f := strings.SplitN(strings.TrimSpace(line), " ", 3)
		if len(f) == 3 && f[0] == "#define" {
			macros[f[1]] = f[2]
		}
	}
	return macros, nil
}

// eval computes a sum of numbers and macros.
func eval(expr string, macros map[string]string) (int64, error) {
	sum := int64(0)
	for term := range strings.SplitSeq(strings.Trim(expr, "()"), "+") {
		term = strings.TrimSpace(term)
		if v, ok := macros[term]; ok {
			n, err := eval(v, macros)
			if err != nil {
				return 0, err
			}
			sum += n
			continue
		}
		n, err := strconv.ParseInt(term, 0, 64)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

func render(table map[string][]int64) ([]byte, error) {
	names := make([]string, 0, len(table))
	for n := range table {
		names = append(names, n)
	}
	slices.Sort(names)
	var b bytes.Buffer
	b.WriteString("// Code generated by gen.go; DO NOT EDIT.\n\npackage seccomp\n\n")
	b.WriteString("// syscalls has the number of every call in every ABI, by name. -1: not there.\n//\n//	")
	for i, c := range columns {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(c.field)
	}
	fmt.Fprintf(&b, "\nvar syscalls = [...]syscall{\n")
	for _, n := range names {
		fmt.Fprintf(&b, "\t{%q, [abis]int32{", n)
		for i, nr := range table[n] {
			if i > 0 {
				b.WriteString(", ")
			}
			if nr >= 1<<16 {
				fmt.Fprintf(&b, "%#x", nr)
			} else {
				fmt.Fprintf(&b, "%d", nr)
			}
		}
		b.WriteString("}},\n")
	}
	b.WriteString("}\n")
	return format.Source(b.Bytes())
}

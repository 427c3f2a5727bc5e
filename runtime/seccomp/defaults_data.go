package seccomp

// ordinary calls are allowed with any arguments.
var ordinary = [...]string{
	// Files: open, create, find.
	"access", "chdir", "close", "close_range", "creat", "faccessat", "faccessat2", "fchdir", "getcwd",
	"link", "linkat", "mkdir", "mkdirat", "mknod", "mknodat", "name_to_handle_at", "open", "openat", "openat2",
	"readlink", "readlinkat", "rename", "renameat", "renameat2", "rmdir", "symlink", "symlinkat",
	"umask", "unlink", "unlinkat",

	// Files: read, write, space.
	"_llseek", "copy_file_range", "fadvise64", "fadvise64_64", "arm_fadvise64_64", "fallocate",
	"fdatasync", "flock", "fsync", "ftruncate", "ftruncate64", "getdents", "getdents64", "lseek",
	"pread64", "preadv", "preadv2", "pwrite64", "pwritev", "pwritev2", "read", "readahead", "readv",
	"sendfile", "sendfile64", "splice", "sync", "sync_file_range", "sync_file_range2", "arm_sync_file_range",
	"syncfs", "tee", "truncate", "truncate64", "vmsplice", "write", "writev",

	// Files: owner, mode, times, attributes, and what stat says.
	"cachestat", "chmod", "chown", "chown32", "fchmod", "fchmodat", "fchmodat2", "fchown", "fchown32", "fchownat",
	"fgetxattr", "flistxattr", "fremovexattr", "fsetxattr", "fstat", "fstat64", "fstatat64", "fstatfs", "fstatfs64",
	"futimesat", "getxattr", "getxattrat", "lchown", "lchown32", "lgetxattr", "listmount", "listxattr", "listxattrat",
	"llistxattr", "lremovexattr", "lsetxattr", "lstat", "lstat64", "newfstatat", "removexattr", "removexattrat",
	"setxattr", "setxattrat", "stat", "stat64", "statfs", "statfs64", "statmount", "statx",
	"utime", "utimensat", "utimensat_time64", "utimes",

	// Descriptors, pipes, waiting for events.
	"_newselect", "dup", "dup2", "dup3", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_ctl_old",
	"epoll_pwait", "epoll_pwait2", "epoll_wait", "epoll_wait_old", "eventfd", "eventfd2", "fanotify_mark",
	"fcntl", "fcntl64", "inotify_add_watch", "inotify_init", "inotify_init1", "inotify_rm_watch",
	"io_cancel", "io_destroy", "io_getevents", "io_pgetevents", "io_pgetevents_time64", "io_setup", "io_submit",
	"pipe", "pipe2", "poll", "ppoll", "ppoll_time64", "pselect6", "pselect6_time64", "select",
	"signalfd", "signalfd4",

	// Memory.
	"brk", "madvise", "map_shadow_stack", "membarrier", "memfd_create", "memfd_secret", "mincore", "mlock", "mlock2",
	"mlockall", "mmap", "mmap2", "mprotect", "mremap", "mseal", "msync", "munlock", "munlockall", "munmap",
	"pkey_alloc", "pkey_free", "pkey_mprotect", "process_mrelease", "remap_file_pages",

	// Processes and threads. clone has rules of its own.
	"execve", "execveat", "exit", "exit_group", "fork", "get_robust_list", "get_thread_area", "getpgid", "getpgrp",
	"getpid", "getppid", "getsid", "gettid", "pidfd_open", "prctl", "restart_syscall", "rseq", "set_robust_list",
	"set_thread_area", "set_tid_address", "setpgid", "setsid", "vfork", "wait4", "waitid", "waitpid",
	"arch_prctl", "modify_ldt", "breakpoint", "cacheflush", "set_tls", // of one machine each
	"uprobe", "uretprobe", // made by the kernel's own trampolines

	// Signals.
	"alarm", "kill", "pause", "pidfd_send_signal", "rt_sigaction", "rt_sigpending", "rt_sigprocmask",
	"rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait", "rt_sigtimedwait_time64",
	"rt_tgsigqueueinfo", "sigaltstack", "sigprocmask", "sigreturn", "tgkill", "tkill",

	// Users, groups, capabilities, and giving up rights.
	"capget", "capset", "getegid", "getegid32", "geteuid", "geteuid32", "getgid", "getgid32", "getgroups",
	"getgroups32", "getresgid", "getresgid32", "getresuid", "getresuid32", "getuid", "getuid32",
	"landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self", "seccomp",
	"setfsgid", "setfsgid32", "setfsuid", "setfsuid32", "setgid", "setgid32", "setgroups", "setgroups32",
	"setregid", "setregid32", "setresgid", "setresgid32", "setresuid", "setresuid32", "setreuid", "setreuid32",
	"setuid", "setuid32",

	// Limits and scheduling.
	"getcpu", "getpriority", "getrlimit", "getrusage", "ioprio_get", "ioprio_set", "prlimit64",
	"sched_get_priority_max", "sched_get_priority_min", "sched_getaffinity", "sched_getattr", "sched_getparam",
	"sched_getscheduler", "sched_rr_get_interval", "sched_rr_get_interval_time64", "sched_setaffinity",
	"sched_setattr", "sched_setparam", "sched_setscheduler", "sched_yield", "setpriority", "setrlimit", "ugetrlimit",

	// Locks shared by threads.
	"futex", "futex_requeue", "futex_time64", "futex_wait", "futex_waitv", "futex_wake",

	// Clocks and timers. Setting a clock needs more than the call.
	"adjtimex", "clock_adjtime", "clock_adjtime64", "clock_getres", "clock_getres_time64", "clock_gettime",
	"clock_gettime64", "clock_nanosleep", "clock_nanosleep_time64", "getitimer", "gettimeofday", "nanosleep",
	"setitimer", "time", "timer_create", "timer_delete", "timer_getoverrun", "timer_gettime", "timer_gettime64",
	"timer_settime", "timer_settime64", "timerfd_create", "timerfd_gettime", "timerfd_gettime64",
	"timerfd_settime", "timerfd_settime64", "times",

	// Sockets. socket has rules of its own; socketcall hides its arguments, but
	// 32-bit programs know no other way.
	"accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt", "listen", "recv",
	"recvfrom", "recvmmsg", "recvmmsg_time64", "recvmsg", "send", "sendmmsg", "sendmsg", "sendto", "setsockopt",
	"shutdown", "socketcall", "socketpair",

	// System V and POSIX messages, semaphores, shared memory.
	"ipc", "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive", "mq_timedreceive_time64", "mq_timedsend",
	"mq_timedsend_time64", "mq_unlink", "msgctl", "msgget", "msgrcv", "msgsnd", "semctl", "semget", "semop",
	"semtimedop", "semtimedop_time64", "shmat", "shmctl", "shmdt", "shmget",

	// The system.
	"getrandom", "sysinfo", "uname",
}

// tracing reaches only what the kernel's own ptrace rules let reach.
var tracing = []string{"process_vm_readv", "process_vm_writev", "ptrace"}

// openings are the calls that a capability of the container allows. The kernel
// still checks the capability against the namespace in question.
var openings = [...]struct {
	capability string
	names      []string
}{
	{"CAP_BPF", []string{"bpf"}},
	{"CAP_DAC_READ_SEARCH", []string{"open_by_handle_at"}},
	{"CAP_PERFMON", []string{"perf_event_open"}},
	{"CAP_SYSLOG", []string{"syslog"}},
	{"CAP_SYS_ADMIN", []string{
		"bpf", "clone", "clone3", "fanotify_init", "fsconfig", "fsmount", "fsopen", "fspick", "ioctl",
		"lookup_dcookie", "lsm_get_self_attr", "lsm_list_modules", "lsm_set_self_attr", "mount", "mount_setattr",
		"move_mount", "open_tree", "open_tree_attr", "perf_event_open", "quotactl", "quotactl_fd",
		"setdomainname", "sethostname", "setns", "syslog", "umount", "umount2", "unshare",
	}},
	{"CAP_SYS_BOOT", []string{"reboot"}},
	{"CAP_SYS_CHROOT", []string{"chroot"}},
	{"CAP_SYS_MODULE", []string{"delete_module", "finit_module", "init_module"}},
	{"CAP_SYS_NICE", []string{"get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"}},
	{"CAP_SYS_PACCT", []string{"acct"}},
	{"CAP_SYS_PTRACE", []string{
		"kcmp", "pidfd_getfd", "process_madvise", "process_vm_readv", "process_vm_writev", "ptrace",
	}},
	{"CAP_SYS_RAWIO", []string{"ioperm", "iopl"}},
	{"CAP_SYS_TIME", []string{"clock_settime", "clock_settime64", "settimeofday", "stime"}},
	{"CAP_SYS_TTY_CONFIG", []string{"vhangup"}},
}

// families of sockets that are allowed, linux/socket.h: those the kernel still
// has, without alg (38) and vsock (40).
var families = [...]uint8{
	1,  // unix
	2,  // inet
	3,  // ax25
	4,  // ipx
	5,  // appletalk
	6,  // netrom
	7,  // bridge
	8,  // atmpvc
	9,  // x25
	10, // inet6
	11, // rose
	13, // netbeui
	14, // security
	15, // key
	16, // netlink
	17, // packet
	18, // ash
	21, // rds
	22, // sna
	24, // pppox
	26, // llc
	27, // ib
	28, // mpls
	29, // can
	30, // tipc
	31, // bluetooth
	32, // iucv
	33, // rxrpc
	35, // phonet
	36, // ieee802154
	39, // nfc
	41, // kcm
	42, // qipcrtr
	43, // smc
	44, // xdp
	45, // mctp
}

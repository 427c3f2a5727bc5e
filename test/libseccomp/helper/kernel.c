/*
 * Asks the kernel what a filter says. From stdin, in the machine's byte order:
 *
 *	u32 instructions, struct sock_filter[]
 *	u32 calls, struct call[]
 *	u32 repeat
 *
 * "ask" makes every call once and writes what each returned, an s64. "time"
 * makes them all repeat times and writes the nanoseconds that took, an s64: ten
 * times the fastest tenth, since what else the machine does only adds to it.
 * "install" writes the nanoseconds that it took to install the program.
 * A program without instructions is no filter.
 */
#define _GNU_SOURCE
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct call {
	uint32_t nr, arch;
	uint64_t args[6];
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void *get(size_t size)
{
	void *p = malloc(size + 1);

	if (!p || (size && fread(p, size, 1, stdin) != 1)) {
		fprintf(stderr, "input ends early\n");
		exit(1);
	}
	return p;
}

static uint32_t get32(void)
{
	return *(uint32_t *)get(4);
}

#if defined(__x86_64__)
static long native(const struct call *c)
{
	register long r10 __asm__("r10") = c->args[3];
	register long r8 __asm__("r8") = c->args[4];
	register long r9 __asm__("r9") = c->args[5];
	long ret = (int32_t)c->nr;

	__asm__ volatile("syscall"
			 : "+a"(ret)
			 : "D"(c->args[0]), "S"(c->args[1]), "d"(c->args[2]), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

/* The gate of 32-bit programs is open to 64-bit ones too. */
static long i386(const struct call *c)
{
	int32_t ret;

	__asm__ volatile("push %%rbx; push %%rbp; mov %%rax, %%rbp\n\t"
			 "mov 8(%%rbp), %%ebx; mov 16(%%rbp), %%ecx; mov 24(%%rbp), %%edx\n\t"
			 "mov 32(%%rbp), %%esi; mov 40(%%rbp), %%edi; mov (%%rbp), %%eax\n\t"
			 "mov 48(%%rbp), %%ebp\n\t"
			 "int $0x80\n\t"
			 "pop %%rbp; pop %%rbx"
			 : "=a"(ret)
			 : "0"(c)
			 : "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc");
	return ret;
}

static long make(const struct call *c)
{
	return c->arch == AUDIT_ARCH_I386 ? i386(c) : native(c);
}
#else
static long make(const struct call *c)
{
	register long x8 __asm__("x8") = (int32_t)c->nr;
	register long x0 __asm__("x0") = c->args[0];
	register long x1 __asm__("x1") = c->args[1];
	register long x2 __asm__("x2") = c->args[2];
	register long x3 __asm__("x3") = c->args[3];
	register long x4 __asm__("x4") = c->args[4];
	register long x5 __asm__("x5") = c->args[5];

	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
}
#endif

static void install(struct sock_filter *text, uint32_t len)
{
	struct sock_fprog prog = { len, text };

	if (!len)
		return;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		die("no new privileges");
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &prog))
		die("seccomp");
}

/*
 * The filter may leave a process no call at all. So a child notes the answers
 * in shared memory and ends by a trap.
 */
static void ask(struct sock_filter *text, uint32_t len, const struct call *calls, uint32_t n)
{
	static const struct rlimit no_core;
	size_t size = n * sizeof(int64_t);
	/* The last one says that the child came to its end. */
	volatile int64_t *answers = mmap(NULL, size + sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	if ((void *)answers == MAP_FAILED)
		die("mmap");
	setrlimit(RLIMIT_CORE, &no_core);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		install(text, len);
		for (uint32_t i = 0; i < n; i++)
			answers[i] = make(&calls[i]);
		answers[n] = 1;
		__builtin_trap();
	}
	if (waitpid(pid, &status, 0) != pid)
		die("wait");
	if (!answers[n]) {
		fprintf(stderr, "the child did not come to its end: status %#x\n", status);
		exit(1);
	}
	fwrite((const void *)answers, size, 1, stdout);
}

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t); /* by the vDSO, not through the filter */
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void measure(struct sock_filter *text, uint32_t len, const struct call *calls, uint32_t n, uint32_t repeat)
{
	int64_t best = INT64_MAX, took;

	install(text, len);
	for (int part = 0; part <= 10; part++) {
		took = -now();
		for (uint32_t r = 0; r < repeat / 10; r++)
			for (uint32_t i = 0; i < n; i++)
				make(&calls[i]);
		took += now();
		if (part && took < best) /* the first one warms caches */
			best = took;
	}
	took = best * 10;
	fwrite(&took, sizeof(took), 1, stdout);
}

static void installation(struct sock_filter *text, uint32_t len)
{
	int64_t took = -now();

	install(text, len);
	took += now();
	fwrite(&took, sizeof(took), 1, stdout);
}

int main(int argc, char **argv)
{
	uint32_t len = get32();
	struct sock_filter *text = get(len * sizeof(*text));
	uint32_t n = get32();
	struct call *calls = get(n * sizeof(*calls));
	uint32_t repeat = get32();

	if (argc == 2 && !strcmp(argv[1], "ask"))
		ask(text, len, calls, n);
	else if (argc == 2 && !strcmp(argv[1], "time"))
		measure(text, len, calls, n, repeat);
	else if (argc == 2 && !strcmp(argv[1], "install"))
		installation(text, len);
	else
		return 2;
	return fflush(stdout) ? 1 : 0;
}

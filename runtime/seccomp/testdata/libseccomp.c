/*
 * Builds a filter with libseccomp and writes it to stdout. From stdin:
 *
 *	default ACTION
 *	arch NAME
 *	rule ACTION NAME [INDEX OP VALUE VALUE2]...
 *
 * An action is the kernel's number, an op that of enum scmp_compare.
 */
#include <errno.h>
#include <inttypes.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static scmp_filter_ctx ctx;

static void die(const char *what, int rc)
{
	fprintf(stderr, "%s: %s\n", what, strerror(-rc));
	exit(1);
}

static void rule(char *words)
{
	uint32_t action = strtoul(strtok(words, " "), NULL, 0);
	char *name = strtok(NULL, " ");
	struct scmp_arg_cmp args[6];
	unsigned n = 0;
	int nr, rc;

	for (char *w; n < 6 && (w = strtok(NULL, " ")); n++) {
		args[n].arg = strtoul(w, NULL, 0);
		args[n].op = strtoul(strtok(NULL, " "), NULL, 0);
		args[n].datum_a = strtoull(strtok(NULL, " "), NULL, 0);
		args[n].datum_b = strtoull(strtok(NULL, " "), NULL, 0);
	}
	nr = seccomp_syscall_resolve_name(name);
	if (nr == __NR_SCMP_ERROR)
		return;
	rc = seccomp_rule_add_array(ctx, action, nr, n, args);
	if (rc < 0 && rc != -EEXIST)
		die(name, rc);
}

int main(void)
{
	char line[8192];
	int rc;

	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		if (!strncmp(line, "default ", 8)) {
			ctx = seccomp_init(strtoul(line + 8, NULL, 0));
			if (!ctx)
				die("init", -ENOMEM);
			seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
		} else if (!strncmp(line, "arch ", 5)) {
			rc = seccomp_arch_add(ctx, seccomp_arch_resolve_name(line + 5));
			if (rc < 0 && rc != -EEXIST)
				die(line, rc);
		} else if (!strncmp(line, "rule ", 5)) {
			rule(line + 5);
		}
	}
	rc = seccomp_export_bpf(ctx, 1);
	if (rc < 0)
		die("export", rc);
	return 0;
}

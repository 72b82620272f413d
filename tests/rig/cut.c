/* Cuts the power of one filesystem at an exact system call of a process tree.
 *
 *   cut count OUT COMMAND...                run to the end, write "NUMBER TIMES" per system call to the file OUT
 *   cut power MOUNT NUMBER TIMES COMMAND... at the TIMES-th entry of system call NUMBER, counted over the whole tree and
 *                                           before the call takes effect, shut the filesystem at MOUNT down without
 *                                           flushing its journal, then kill every process of the tree
 *   cut kill NUMBER TIMES COMMAND...        at that point kill only the process that made the call, as kill -9 does,
 *                                           and let the others run on
 *
 * Exit code: 137 if the point was reached, otherwise the command's own (128 + signal if it died of one).
 * Compared with strace's fault injection, the counters are those of the whole tree and not of each thread, and nothing
 * in the tree runs between the chosen call and the cut, so what a point means does not depend on scheduling. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CALLS = 1024, TREE_MAX = 4096 };
#define EXT4_SHUTDOWN 0x8004587DUL /* _IOR('X', 125, __u32) */
#define NO_LOG_FLUSH 2U

static unsigned long counts[CALLS];
static pid_t tree[TREE_MAX];
static int members;

static void die(const char *what) {
    perror(what);
    exit(125);
}

static int joined(pid_t pid) {
    for (int i = 0; i < members; i++)
        if (tree[i] == pid) return 1;
    return 0;
}

static void join(pid_t pid) {
    if (joined(pid)) return;
    if (members == TREE_MAX) {
        fprintf(stderr, "cut: more than %d processes\n", TREE_MAX);
        exit(125);
    }
    tree[members++] = pid;
}

static void left(pid_t pid) {
    for (int i = 0; i < members; i++)
        if (tree[i] == pid) tree[i] = tree[--members];
}

static pid_t launch(char **command) {
    pid_t child = fork();
    if (child < 0) die("cut: fork");
    if (child == 0) {
        raise(SIGSTOP);
        execvp(command[0], command);
        perror(command[0]);
        _exit(127);
    }
    int status;
    if (waitpid(child, &status, WUNTRACED) != child) die("cut: waitpid");
    long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
                   PTRACE_O_TRACEEXEC;
    if (ptrace(PTRACE_SEIZE, child, 0, options) != 0) die("cut: ptrace");
    join(child);
    kill(child, SIGCONT);
    return child;
}

/* True at the entry of the system call that was asked for. */
static int at_point(pid_t pid, long number, unsigned long times) {
    struct __ptrace_syscall_info info;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) <= 0) return 0;
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY || info.entry.nr >= CALLS) return 0;
    counts[info.entry.nr]++;
    return (long)info.entry.nr == number && counts[info.entry.nr] == times;
}

static void cut_power(int mount) {
    unsigned int flags = NO_LOG_FLUSH;
    if (ioctl(mount, EXT4_SHUTDOWN, &flags) != 0) die("cut: shutdown ioctl");
    for (int i = 0; i < members; i++) kill(tree[i], SIGKILL);
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, __WALL);
        if (pid < 0 && errno != EINTR) exit(137); /* no tracee is left, so all are dead */
        /* A child whose birth had not been reported yet. */
        if (pid > 0 && WIFSTOPPED(status)) kill(pid, SIGKILL);
    }
}

/* What to pass on when a tracee is let go: the signal it stopped for, or none if the stop was our own doing. */
static int signal_to_pass(int status) {
    int signal_number = WSTOPSIG(status);
    if (signal_number == (SIGTRAP | 0x80) || status >> 16) return 0;
    return signal_number;
}

static int follow(pid_t root, int mount, int kill_only, long number, unsigned long times) {
    int reached = 0;
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, __WALL);
        if (pid < 0 && errno == EINTR) continue;
        if (pid < 0) die("cut: wait");
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            left(pid);
            /* The others are daemons that outlive the command; they are let go when this process exits. */
            if (pid == root)
                return reached ? 137 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            continue;
        }
        join(pid);
        if (WSTOPSIG(status) == (SIGTRAP | 0x80) && at_point(pid, number, times)) {
            if (mount >= 0) cut_power(mount);
            if (kill_only) {
                reached = 1;
                kill(pid, SIGKILL);
                continue;
            }
        }
        if (status >> 16 == PTRACE_EVENT_STOP && WSTOPSIG(status) != SIGTRAP) {
            ptrace(PTRACE_LISTEN, pid, 0, 0); /* a group stop: stay stopped as without us */
            continue;
        }
        ptrace(PTRACE_SYSCALL, pid, 0, signal_to_pass(status));
    }
}

int main(int argc, char **argv) {
    if (argc >= 4 && !strcmp(argv[1], "count")) {
        int code = follow(launch(argv + 3), -1, 0, -1, 0);
        FILE *out = fopen(argv[2], "w");
        if (!out) die(argv[2]);
        for (int i = 0; i < CALLS; i++)
            if (counts[i]) fprintf(out, "%d %lu\n", i, counts[i]);
        if (fclose(out) != 0) die(argv[2]);
        return code;
    }
    if (argc >= 6 && !strcmp(argv[1], "power")) {
        int mount = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (mount < 0) die(argv[2]);
        return follow(launch(argv + 5), mount, 0, atol(argv[3]), strtoul(argv[4], NULL, 10));
    }
    if (argc >= 5 && !strcmp(argv[1], "kill"))
        return follow(launch(argv + 4), -1, 1, atol(argv[2]), strtoul(argv[3], NULL, 10));
    fprintf(stderr, "usage: cut count OUT COMMAND... | power MOUNT NUMBER TIMES COMMAND... | kill NUMBER TIMES COMMAND...\n");
    return 2;
}

/* Runs a command again and again, and says what each run cost.
 *
 *   timed RUNS COMMAND...
 *
 * One line per run: MICROSECONDS PEAK_KB EXIT_CODE. The time is from before the fork to the end of the command, the peak
 * is the largest resident size of any process that the command waited for, itself included. The command's output goes to
 * stderr. A small program of its own, because a process inherits its parent's peak until it calls exec.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: timed RUNS COMMAND...\n");
        return 2;
    }
    for (int run = atoi(argv[1]); run > 0; run--) {
        long long begin = now_us();
        pid_t child = fork();
        if (child == 0) {
            dup2(2, 1);
            execvp(argv[2], argv + 2);
            perror(argv[2]);
            _exit(127);
        }
        int status;
        struct rusage usage;
        if (child < 0 || wait4(child, &status, 0, &usage) != child) {
            perror("timed");
            return 1;
        }
        int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        printf("%lld %ld %d\n", now_us() - begin, usage.ru_maxrss, code);
        fflush(stdout);
    }
    return 0;
}

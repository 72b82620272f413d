/* A tight HTTP client that measures how long a service is away.
 *
 *   probe ADDRESS PORT
 *
 * Asks once a millisecond, each time over a new connection, until SIGTERM. Prints one line per change:
 *
 *   FROM TO GAP_US FAILURES
 *
 * when the answer changes from one version to another, or comes back after failures (then FROM equals TO). The gap is
 * the time from the end of the last good answer to the end of the next one: what a client sees, never less.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PERIOD_US = 1000, PATIENCE_MS = 20, VERSION_MAX = 64 };

static volatile sig_atomic_t stopping;

static void stop(int signal_number) {
    (void)signal_number;
    stopping = 1;
}

static long long now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

/* Waits for one event on a non-blocking socket; an unanswered SYN must not hide the answer to the next one. */
static int ready(int fd, short events) {
    struct pollfd p = {.fd = fd, .events = events};
    return poll(&p, 1, PATIENCE_MS) == 1 && (p.revents & events);
}

static int ask(int fd, const struct sockaddr_in *address, char *version) {
    static const char request[] = "GET / HTTP/1.0\r\n\r\n";
    char reply[1024];
    size_t have = 0;
    int error = 0;
    socklen_t length = sizeof error;
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) != 0) {
        if (errno != EINPROGRESS || !ready(fd, POLLOUT)) return 0;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0 || error != 0) return 0;
    }
    if (write(fd, request, sizeof request - 1) != sizeof request - 1) return 0;
    while (have < sizeof reply - 1) {
        if (!ready(fd, POLLIN)) return 0;
        ssize_t got = read(fd, reply + have, sizeof reply - 1 - have);
        if (got < 0) return 0;
        if (got == 0) break;
        have += (size_t)got;
    }
    reply[have] = 0;
    char *body = strstr(reply, "\r\n\r\n");
    if (strncmp(reply, "HTTP/1.0 200", 12) != 0 || !body) return 0;
    body += 4;
    body[strcspn(body, "\n")] = 0;
    if (!*body) return 0;
    snprintf(version, VERSION_MAX, "%s", body);
    return 1;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: probe ADDRESS PORT\n");
        return 2;
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[2]))};
    if (inet_pton(AF_INET, argv[1], &address.sin_addr) != 1) {
        fprintf(stderr, "probe: %s is not an IPv4 address\n", argv[1]);
        return 2;
    }
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);

    char last[VERSION_MAX] = "", version[VERSION_MAX];
    long long last_good = 0;
    unsigned long failures = 0;
    while (!stopping) {
        long long begin = now_us();
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        struct linger reset = {.l_onoff = 1, .l_linger = 0};
        /* A reset at close leaves no TIME_WAIT behind: thousands of them would use up the ports. */
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        int good = ask(fd, &address, version);
        close(fd);
        long long end = now_us();
        if (good) {
            if (!*last) printf("- %s 0 %lu\n", version, failures);
            else if (failures || strcmp(last, version))
                printf("%s %s %lld %lu\n", last, version, end - last_good, failures);
            strcpy(last, version);
            last_good = end;
            failures = 0;
        } else {
            failures++;
        }
        long long rest = PERIOD_US - (end - begin);
        if (rest > 0) usleep((useconds_t)rest);
    }
    if (failures) printf("%s - %lld %lu\n", *last ? last : "-", *last ? now_us() - last_good : 0, failures);
    return 0;
}

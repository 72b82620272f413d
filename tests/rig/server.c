/* The service inside the test images: answers every HTTP request with its version, and misbehaves on demand.
 *
 *   server [--port N] [--version S] [--unhealthy] [--die MS]   serve; --die exits with 3 after MS milliseconds
 *   server --crash                                             exit with 3 at once, after one line on stderr
 *   server --exit N                                            exit with N at once
 *   server --idle                                              do nothing until SIGTERM
 *   server --check [--port N]                                  the health check: 0 if /health answers 200
 *
 * VERSION and PORT in the environment are the defaults, so that an image configuration can say them. No libc name
 * lookups, one process, one static file: it runs in an image that holds nothing else.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* The first process of a pid namespace ignores SIGTERM unless it has a handler. */
static void leave(int signal_number) {
    (void)signal_number;
    _exit(0);
}

static long long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static int open_socket(struct sockaddr_in *address, in_addr_t host, int port) {
    memset(address, 0, sizeof *address);
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = host;
    address->sin_port = htons((unsigned short)port);
    return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int check(int port) {
    struct sockaddr_in address;
    char answer[64] = {0};
    static const char request[] = "GET /health HTTP/1.0\r\n\r\n";
    int fd = open_socket(&address, htonl(INADDR_LOOPBACK), port);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) return 1;
    if (write(fd, request, sizeof request - 1) < 0) return 1;
    if (read(fd, answer, sizeof answer - 1) <= 0) return 1;
    return strncmp(answer, "HTTP/1.0 200", 12) != 0;
}

static void answer(int fd, const char *version, int unhealthy) {
    char request[2048], reply[1024];
    ssize_t got = read(fd, request, sizeof request - 1);
    if (got <= 0) return;
    request[got] = 0;
    int sick = unhealthy && strncmp(request, "GET /health", 11) == 0;
    int length = snprintf(reply, sizeof reply,
                          "HTTP/1.0 %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s\n",
                          sick ? "503 Service Unavailable" : "200 OK", strlen(version) + 1, version);
    /* A client that hung up is its own problem. */
    if (write(fd, reply, (size_t)length) < 0) return;
}

static int serve(int port, const char *version, int unhealthy, long die_ms) {
    struct sockaddr_in address;
    int on = 1;
    int fd = open_socket(&address, htonl(INADDR_ANY), port);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 128) != 0) {
        perror("server: cannot listen");
        return 4;
    }
    printf("server: %s listens on port %d\n", version, port);
    fflush(stdout);
    long long deadline = now_ms() + die_ms;
    for (;;) {
        int wait = -1;
        if (die_ms >= 0) {
            wait = (int)(deadline - now_ms());
            if (wait <= 0) {
                fprintf(stderr, "server: %s dies as told\n", version);
                return 3;
            }
        }
        struct pollfd listening = {.fd = fd, .events = POLLIN};
        if (poll(&listening, 1, wait) <= 0) continue;
        int client = accept(fd, NULL, NULL);
        if (client < 0) continue;
        struct pollfd readable = {.fd = client, .events = POLLIN};
        if (poll(&readable, 1, 200) > 0) answer(client, version, unhealthy);
        close(client);
    }
}

int main(int argc, char **argv) {
    const char *version = getenv("VERSION") ? getenv("VERSION") : "unknown";
    int port = getenv("PORT") ? atoi(getenv("PORT")) : 8080;
    int unhealthy = 0, checking = 0, idle = 0;
    long die_ms = -1;
    struct sigaction action = {.sa_handler = leave};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(argv[i], "--port")) port = atoi(value), i++;
        else if (!strcmp(argv[i], "--version")) version = value, i++;
        else if (!strcmp(argv[i], "--die")) die_ms = atol(value), i++;
        else if (!strcmp(argv[i], "--exit")) return atoi(value);
        else if (!strcmp(argv[i], "--unhealthy")) unhealthy = 1;
        else if (!strcmp(argv[i], "--check")) checking = 1;
        else if (!strcmp(argv[i], "--idle")) idle = 1;
        else if (!strcmp(argv[i], "--crash")) {
            fprintf(stderr, "server: %s cannot find its database\n", version);
            return 3;
        } else {
            fprintf(stderr, "server: unknown option %s\n", argv[i]);
            return 2;
        }
    }
    if (checking) return check(port);
    if (idle)
        for (;;) pause();
    return serve(port, version, unhealthy, die_ms);
}

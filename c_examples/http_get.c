/* http_get.c [--deadline SECONDS] http://HOST[:PORT]/PATH: fetches a document by HTTP/1.1 and
 * writes it to standard output. Shows a connect that does not block, one deadline for the whole
 * exchange, an answer that is understood while it comes in, and back-pressure: nothing is read
 * while the output is full. Follows no redirect, and speaks no https. */
#define _GNU_SOURCE
#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <evloop.h>
#include <getopt.h>
#include <limits.h>
#include <netdb.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNTIL_CLOSED UINT64_MAX /* the length of a body that ends with the connection */

enum ending {      /* the program's exit code */
  GOOD = 0,        /* the document has been written */
  LOCAL = 1,       /* no memory, no loop, nobody who takes the output */
  USAGE = 2,       /* the command line, or a URL that is none */
  HTTPS = 3,       /* or another scheme */
  NO_HOST = 4,     /* the name is unknown */
  UNREACHABLE = 5, /* none of its addresses can be connected to */
  TIMEOUT = 6,     /* the deadline was over first */
  TRUNCATED = 7,   /* the connection was over first */
  NO_HTTP = 8,     /* the answer is not understood */
  REDIRECT = 9,    /* the document is elsewhere */
  STATUS = 10      /* the server says that something is wrong; what it sends is written */
};

struct exchange {
  loop_t *loop;
  loop_handle_t socket, output, deadline; /* two watchers and a timer; all end with the exchange */
  enum ending ending;
  char host[256], port[6], *request;
  struct addrinfo *next; /* the address to be tried if this one refuses */
  int fd;
  size_t sent; /* of the request */
  enum { STATUS_LINE, FIELDS, BODY, CHUNK_SIZE, CHUNK, CHUNK_END, TRAILERS, NOTHING } expected;
  char status[128], location[4096]; /* "404 Not Found"; empty if there is none */
  bool is_chunked;
  uint64_t left;     /* bytes of the body, or of the chunk */
  size_t start, end; /* what has come and is not dealt with yet, in the buffer */
  char buffer[16384];
};

/* Ends the exchange. Then the loop has nothing left to do, and loop_run returns. */
__attribute__((format(printf, 3, 4))) /* clang and gcc: checks the arguments */
static void end(struct exchange *x, enum ending ending, const char *format, ...) {
  if (x->expected == NOTHING) return;
  va_list arguments;
  va_start(arguments, format);
  if (ending != GOOD) vwarnx(format, arguments);
  va_end(arguments);
  x->expected = NOTHING, x->ending = ending;
  loop_cancel(x->loop, x->socket), loop_cancel(x->loop, x->output);
  loop_cancel(x->loop, x->deadline);
}

static void on_deadline(loop_t *loop, void *arg) {
  struct exchange *x = arg;
  (void)loop;
  const char *phase = x->sent == 0 ? "there is no connection" : "the answer is not complete";
  end(x, TIMEOUT, "the deadline is over, and %s", phase);
}

/* ---- The answer: lines, and pieces of the body between them ---- */

static void on_end_of_answer(struct exchange *x) {
  end(x, x->status[0] == '2' ? GOOD : STATUS, "the server says: %s", x->status);
}

static void on_status_line(struct exchange *x, const char *line) {
  const char *digits = "0123456789";
  if (strncmp(line, "HTTP/1.", 7) != 0 || strspn(line + 7, digits) != 1 || line[8] != ' ' ||
      strspn(line + 9, digits) != 3 || (line[12] != ' ' && line[12] != '\0')) {
    end(x, NO_HTTP, "the answer is not HTTP/1.1");
    return;
  }
  snprintf(x->status, sizeof x->status, "%s", line + 9);
  x->location[0] = '\0', x->is_chunked = false, x->left = UNTIL_CLOSED, x->expected = FIELDS;
}

/* How many digits the text begins with. More than 15 are none: no document is so long. */
static size_t number(const char *text, int base, uint64_t *value) {
  size_t digits = strspn(text, base == 10 ? "0123456789" : "0123456789abcdefABCDEF");
  *value = strtoull(text, NULL, base);
  return digits <= 15 ? digits : 0;
}

static void on_field(struct exchange *x, char *line) {
  char *value = line + strcspn(line, ": \t"), *last;
  if (value == line || *value != ':') end(x, NO_HTTP, "this is no field of a head: %s", line);
  if (*value != '\0') *value++ = '\0';
  value += strspn(value, " \t");
  last = value + strlen(value);
  while (last > value && (last[-1] == ' ' || last[-1] == '\t')) *--last = '\0';
  if (strcasecmp(line, "Location") == 0) snprintf(x->location, sizeof x->location, "%s", value);
  if (strcasecmp(line, "Transfer-Encoding") == 0) {
    x->is_chunked = strcasecmp(value, "chunked") == 0;
    if (!x->is_chunked) end(x, NO_HTTP, "the body's coding is not understood: %s", value);
  } else if (strcasecmp(line, "Content-Length") == 0) {
    uint64_t before = x->left;
    size_t digits = number(value, 10, &x->left);
    if (digits == 0 || value[digits] != '\0' || (before != UNTIL_CLOSED && before != x->left))
      end(x, NO_HTTP, "the body's length is not understood: %s", value);
  }
}

static void on_end_of_head(struct exchange *x) {
  int status = atoi(x->status);
  if (status / 100 == 3 && (status <= 303 || x->location[0] != '\0'))
    end(x, REDIRECT, "not followed: the server says %s, to %s", x->status,
        x->location[0] != '\0' ? x->location : "nowhere");
  if (status == 101) end(x, NO_HTTP, "the answer is another protocol");
  if (x->is_chunked && x->left != UNTIL_CLOSED) end(x, NO_HTTP, "the body has two lengths");
  if (x->expected == NOTHING) return;
  x->expected = status < 200 ? STATUS_LINE /* the real answer is still to come */
                             : x->is_chunked ? CHUNK_SIZE : BODY;
  if (status == 204 || status == 304 || (x->left == 0 && x->expected == BODY))
    on_end_of_answer(x);
}

static void on_line(struct exchange *x, char *line) {
  if (x->expected == STATUS_LINE) {
    on_status_line(x, line);
  } else if (x->expected == FIELDS) {
    *line != '\0' ? on_field(x, line) : on_end_of_head(x);
  } else if (x->expected == CHUNK_SIZE) {
    size_t digits = number(line, 16, &x->left);
    if (digits == 0 || strchr("; \t", line[digits]) == NULL) /* \0 is found too */
      end(x, NO_HTTP, "a chunk has no length");
    else x->expected = x->left == 0 ? TRAILERS : CHUNK;
  } else if (x->expected == CHUNK_END) {
    if (*line == '\0') x->expected = CHUNK_SIZE;
    else end(x, NO_HTTP, "a chunk is longer than it says");
  } else if (*line == '\0') { /* of the trailers only the end is of interest */
    on_end_of_answer(x);
  }
}

/* The next line without its end, or NULL if it has not come yet. */
static char *next_line(struct exchange *x) {
  char *line = x->buffer + x->start, *newline = memchr(line, '\n', x->end - x->start);
  if (newline == NULL && x->end - x->start == sizeof x->buffer)
    end(x, NO_HTTP, "a line of the answer is too long");
  if (newline == NULL) return NULL;
  x->start += (size_t)(newline + 1 - line);
  if (newline > line && newline[-1] == '\r') newline--;
  *newline = '\0';
  for (const char *c = line; c < newline; c++) /* it may be printed, on a terminal */
    if (iscntrl((unsigned char)*c) && *c != '\t') end(x, NO_HTTP, "a line with control characters");
  return line;
}

/* Deals with the lines that have come. Then waits for more, or for the output to take the body. */
static void go_on(struct exchange *x) {
  char *line;
  while (x->expected != NOTHING && x->expected != BODY && x->expected != CHUNK &&
         (line = next_line(x)) != NULL)
    on_line(x, line);
  bool is_body = (x->expected == BODY || x->expected == CHUNK) && x->start < x->end;
  loop_watch_update(x->loop, x->socket, is_body ? 0 : LOOP_READABLE);
  loop_watch_update(x->loop, x->output, is_body ? LOOP_WRITABLE | LOOP_ALWAYS : LOOP_ALWAYS);
}

static void on_output(loop_t *loop, int fd, uint32_t events, void *arg) {
  struct exchange *x = arg;
  (void)loop, (void)events;
  size_t size = x->end - x->start < x->left ? x->end - x->start : (size_t)x->left;
  /* So much a pipe takes without blocking if it takes anything, whatever its flags. */
  ssize_t n = write(fd, x->buffer + x->start, size < PIPE_BUF ? size : PIPE_BUF);
  if (n < 0 && errno != EAGAIN) end(x, LOCAL, "cannot write the document: %s", strerror(errno));
  if (n <= 0) return;
  x->start += (size_t)n;
  if (x->left != UNTIL_CLOSED) x->left -= (uint64_t)n;
  if (x->left == 0 && x->expected == BODY) on_end_of_answer(x);
  if (x->left == 0 && x->expected == CHUNK) x->expected = CHUNK_END;
  go_on(x);
}

/* ---- The connection ---- */

static void receive(struct exchange *x) {
  memmove(x->buffer, x->buffer + x->start, x->end -= x->start);
  x->start = 0;
  ssize_t n = read(x->fd, x->buffer + x->end, sizeof x->buffer - x->end);
  if (n > 0) x->end += (size_t)n, go_on(x);
  else if (n < 0 && errno == EAGAIN) return;
  else if (n < 0) end(x, TRUNCATED, "the connection broke off: %s", strerror(errno));
  else if (x->expected == BODY && x->left == UNTIL_CLOSED) on_end_of_answer(x);
  else end(x, TRUNCATED, "the connection ended before the answer was complete");
}

static void on_socket(loop_t *loop, int fd, uint32_t events, void *arg);

/* Begins to connect to the next address. If there is none, reports why the last one failed. */
static void connect_to_next(struct exchange *x, int error) {
  while (x->next != NULL) {
    struct addrinfo *address = x->next;
    x->next = address->ai_next;
    x->fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int result = connect(x->fd, address->ai_addr, address->ai_addrlen);
    error = result < 0 && errno != EINPROGRESS ? errno : 0;
    if (error == 0) x->socket = loop_watch_fd(x->loop, x->fd, LOOP_WRITABLE, on_socket, x);
    if (error == 0) return;
    close(x->fd), x->fd = -1;
  }
  end(x, UNREACHABLE, "cannot connect to %s, port %s: %s", x->host, x->port, strerror(error));
}

/* Connected or refused: send returns which. Later the answer. */
static void on_socket(loop_t *loop, int fd, uint32_t events, void *arg) {
  struct exchange *x = arg;
  (void)events;
  size_t left = strlen(x->request + x->sent);
  if (left == 0) {
    receive(x);
    return;
  }
  ssize_t n = send(fd, x->request + x->sent, left, MSG_NOSIGNAL);
  if (n > 0) x->sent += (size_t)n;
  if (n == (ssize_t)left) loop_watch_update(loop, x->socket, LOOP_READABLE);
  if (n < 0 && errno != EAGAIN && x->sent == 0) {
    int error = errno;
    loop_cancel(loop, x->socket), close(fd);
    connect_to_next(x, error);
  } else if (n < 0 && errno != EAGAIN) {
    end(x, TRUNCATED, "the connection broke off: %s", strerror(errno));
  }
}

/* ---- The program ---- */

/* Makes the request for a URL, which it may change. */
static enum ending parse_url(struct exchange *x, char *url) {
  int host = 0, port = 0;
  if (strncasecmp(url, "http://", 7) != 0) return strstr(url, "://") != NULL ? HTTPS : USAGE;
  url += 7;
  url[strcspn(url, "#")] = '\0'; /* what follows is the reader's own affair */
  for (const char *c = url; *c != '\0'; c++)
    if (!isgraph((unsigned char)*c)) return USAGE; /* or it could add lines to the request */
  sscanf(url, "[%255[0-9a-fA-F:.]]%n", x->host, &host);
  if (host == 0) sscanf(url, "%255[-._~0-9a-zA-Z]%n", x->host, &host);
  strcpy(x->port, "80");
  sscanf(url + host, ":%5[0-9]%n", x->port, &port);
  const char *path = url + host + port;
  if (host == 0 || strchr("/?", *path) == NULL) return USAGE; /* \0 is found too */
  if (atoi(x->port) < 1 || atoi(x->port) > 65535) return USAGE;
  int result = asprintf(&x->request,
                        "GET %s%s HTTP/1.1\r\nHost: %.*s\r\nUser-Agent: evloop-http_get\r\n"
                        "Accept: */*\r\nConnection: close\r\n\r\n",
                        *path == '/' ? "" : "/", path, host + port, url);
  return result < 0 ? LOCAL : GOOD;
}

static void usage(void) {
  errx(USAGE, "usage: http_get [--deadline SECONDS] http://HOST[:PORT]/PATH");
}

int main(int argc, char **argv) {
  const struct option options[] = {{"deadline", required_argument, NULL, 'd'}, {0}};
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *addresses = NULL;
  static struct exchange x = {.fd = -1};
  double seconds = 30;
  char *rest = "";
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (option == 'd') seconds = strtod(optarg, &rest);
    if (option != 'd' || *rest != '\0' || !(seconds > 0 && seconds <= 1e6)) usage();
  }
  if (optind + 1 != argc) usage();
  x.ending = parse_url(&x, argv[optind]);
  if (x.ending == HTTPS) errx(HTTPS, "only http:// is supported: %s", argv[optind]);
  if (x.ending != GOOD) errx(x.ending, "not a URL like http://HOST[:PORT]/PATH");

  x.loop = loop_new();
  uint64_t deadline = loop_clock(x.loop) + (uint64_t)(seconds * 1e9);
  /* This blocks: names are resolved before the loop runs. It uses up time, but the deadline cannot
   * interrupt it; a program that serves others at the same time does it on a thread. */
  int error = getaddrinfo(x.host, x.port, &hints, &addresses);
  if (error != 0) errx(NO_HOST, "%s: %s", x.host, gai_strerror(error));
  x.next = addresses;
  signal(SIGPIPE, SIG_IGN); /* an output that is closed is an error like others */
  x.deadline = loop_call_at(x.loop, deadline, on_deadline, &x);
  x.output = loop_watch_fd(x.loop, STDOUT_FILENO, LOOP_ALWAYS, on_output, &x); /* paused as yet */
  if (x.output < 0) end(&x, LOCAL, "standard output: %s", loop_strerror((int)x.output));
  else connect_to_next(&x, 0);
  int result = loop_run(x.loop); /* until the exchange has ended */
  if (result < 0) end(&x, LOCAL, "%s", loop_strerror(result));
  loop_free(x.loop);
  if (x.fd >= 0) close(x.fd);
  freeaddrinfo(addresses), free(x.request);
  return (int)x.ending;
}

/* http_server.c [PORT [FOLDER [SECONDS]]]: serves the files of a folder by HTTP/1.1, to any number
 * of clients on one thread. Shows sendfile on sockets that do not block, connections that are kept
 * for more requests, also for those that come before the last is answered, and a timer for each
 * client: who is silent, or takes nothing, for so many seconds (30) has to go.
 * Left out: parts of files (Range), caching, compression, lists of folders, https. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <evloop.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PART = 1 << 20 }; /* of a file, sent in one turn: then it is the others' turn */

struct client {
  loop_handle_t watch, timer;
  int fd, file;           /* file: what is being sent, or -1 */
  off_t sent, size;       /* of the file */
  size_t come, next, end; /* how much of a request has come; what is left of the answer's head */
  bool is_head, is_last, is_ending; /* the request: is HEAD, is the last, and that is answered */
  char request[8192], head[8192 + 512];
};

static loop_t *volatile server; /* for the signal handler */
static int root;                /* the folder */
static uint64_t patience = 30000000000;

static const char OK[] = "200 OK", MOVED[] = "301 Moved Permanently", BAD[] = "400 Bad Request",
                  FORBIDDEN[] = "403 Forbidden", NOT_FOUND[] = "404 Not Found",
                  NOT_ALLOWED[] = "405 Method Not Allowed", BUSY[] = "503 Service Unavailable",
                  TOO_LONG[] = "431 Request Header Fields Too Large";

static void on_stop_signal(int number) {
  (void)number;
  loop_stop(server); /* one of the few calls a signal handler may make */
}

/* ---- Files ---- */

static const char *type_of(const char *path) {
  static const char *const types[][2] = {
      {".html", "text/html; charset=utf-8"}, {".css", "text/css; charset=utf-8"},
      {".txt", "text/plain; charset=utf-8"}, {".js", "text/javascript; charset=utf-8"},
      {".json", "application/json"},         {".svg", "image/svg+xml"},
      {".png", "image/png"},                 {".jpg", "image/jpeg"},
      {".pdf", "application/pdf"},           {".wasm", "application/wasm"}};
  const char *dot = strrchr(path, '.');
  for (size_t i = 0; dot != NULL && i < sizeof types / sizeof *types; i++)
    if (strcasecmp(dot, types[i][0]) == 0) return types[i][1];
  return "application/octet-stream";
}

/* The path that a target means: without its query, %41 is A. */
static bool decode(const char *target, char *path) {
  for (; *target != '\0' && *target != '?'; target++) {
    unsigned byte = (unsigned char)*target;
    if (byte == '%') {
      if (!isxdigit((unsigned char)target[1]) || !isxdigit((unsigned char)target[2])) return false;
      sscanf(target + 1, "%2x", &byte);
      target += 2;
    }
    if (byte == 0) return false;
    *path++ = (char)byte;
  }
  *path = '\0';
  return true;
}

/* Opens a file beneath the root, name by name: nothing hidden, so never "..", and no symbolic
 * link. Returns it, or -1 and errno. */
static int open_beneath(char *path) {
  int folder = root;
  for (char *name; (name = strtok_r(path, "/", &path)) != NULL;) {
    int next = -1;
    errno = EACCES;
    if (*name != '.') next = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (folder != root) close(folder); /* and errno stays */
    if (next < 0) return -1;
    folder = next;
  }
  return folder;
}

/* Opens what the target means. Returns the answer's status. */
static const char *open_target(struct client *client, const char *target, const char **type) {
  char path[sizeof client->request + sizeof "index.html"];
  struct stat about;
  if (!decode(target, path)) return BAD;
  if (path[strlen(path) - 1] == '/') strcat(path, "index.html");
  *type = type_of(path);
  client->file = open_beneath(path);
  if (client->file < 0 || fstat(client->file, &about) < 0)
    return errno == EACCES || errno == ELOOP ? FORBIDDEN
           : errno == EMFILE || errno == ENFILE ? BUSY : NOT_FOUND;
  client->sent = 0, client->size = about.st_size;
  return S_ISREG(about.st_mode) ? OK : S_ISDIR(about.st_mode) ? MOVED : FORBIDDEN;
}

/* ---- Requests ---- */

/* How long the request is that has come, with the empty line at its end; 0: it is not whole. */
static size_t request_size(const struct client *client) {
  const char *text = client->request, *end = text + client->come;
  while ((text = memchr(text, '\n', (size_t)(end - text))) != NULL) {
    text++;
    if (text < end && *text == '\r') text++;
    if (text < end && *text == '\n') return (size_t)(text + 1 - client->request);
  }
  return 0;
}

static char *next_line(char **text) {
  char *line = strsep(text, "\n"), *end = line + strlen(line);
  if (end > line && end[-1] == '\r') end[-1] = '\0';
  return line;
}

/* Understands as much of a request as matters here. Returns OK, or what is wrong. */
static const char *parse(struct client *client, char *text, char **target) {
  char *line = next_line(&text);
  if (*line == '\0') line = next_line(&text); /* some send an empty one before */
  char *method = strsep(&line, " "), *version;
  *target = strsep(&line, " ");
  version = line;
  if (version == NULL || strncmp(version, "HTTP/1.", 7) != 0 || strlen(version) != 8) return BAD;
  bool is_old = version[7] == '0', is_kept = !is_old, is_closed = false;
  int hosts = 0;
  while (*(line = next_line(&text)) != '\0') {
    char *value = line + strcspn(line, ": \t");
    if (value == line || *value != ':') return BAD;
    *value++ = '\0';
    value += strspn(value, " \t");
    if (strcasecmp(line, "Host") == 0) hosts++;
    if (strcasecmp(line, "Connection") == 0) {
      is_kept |= strcasestr(value, "keep-alive") != NULL;
      is_closed |= strcasestr(value, "close") != NULL;
    }
    if (strcasecmp(line, "Transfer-Encoding") == 0 ||
        (strcasecmp(line, "Content-Length") == 0 && strcmp(value, "0") != 0))
      is_closed = true; /* a body is not looked at */
  }
  client->is_last = is_closed || !is_kept;
  client->is_head = strcmp(method, "HEAD") == 0;
  if (hosts != 1 && !(is_old && hosts == 0)) return BAD;
  if (!client->is_head && strcmp(method, "GET") != 0) return NOT_ALLOWED;
  if (strncasecmp(*target, "http://", 7) == 0) *target = strchrnul(*target + 7, '/');
  return **target == '/' ? OK : BAD;
}

/* Writes the answer's head; after it the body, where that is not a file. */
static void write_answer(struct client *client, const char *status, const char *type,
                         const char *target) {
  char date[40], page[64] = "", special[sizeof client->request + 16] = "";
  time_t now = time(NULL);
  strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime(&now));
  if (status == MOVED) {
    while (target[1] == '/') target++; /* two of them would lead to another server */
    sprintf(special, "Location: %.*s/\r\n", (int)strcspn(target, "?"), target);
  }
  if (status == NOT_ALLOWED) strcpy(special, "Allow: GET, HEAD\r\n");
  if (status != OK) {
    client->size = sprintf(page, "%s\n", status);
    type = "text/plain; charset=utf-8";
  }
  client->next = 0;
  client->end = (size_t)sprintf(client->head,
                                "HTTP/1.1 %s\r\nDate: %s\r\nContent-Type: %s\r\n"
                                "Content-Length: %lld\r\n%sConnection: %s\r\n\r\n%s",
                                status, date, type, (long long)client->size, special,
                                client->is_last ? "close" : "keep-alive",
                                client->is_head ? "" : page);
}

/* ---- Clients ---- */

static bool is_answering(const struct client *client) {
  return client->next < client->end || client->file >= 0;
}

static void close_file(struct client *client) {
  if (client->file >= 0) close(client->file);
  client->file = -1;
}

/* Answers the next request, if it is there. */
static void answer(struct client *client) {
  char *target = "";
  size_t size = request_size(client);
  const char *type = "", *status = size == 0 ? TOO_LONG : BAD;
  if (size == 0 && client->come < sizeof client->request) return;
  client->is_head = false, client->is_last = true;
  if (size > 0 && memchr(client->request, '\0', size) == NULL) {
    client->request[size - 1] = '\0';
    status = parse(client, client->request, &target);
  }
  if (status == OK) status = open_target(client, target, &type);
  if (status == BAD) client->is_last = true; /* who knows where the next one begins */
  if (status != OK || client->is_head || client->size == 0) close_file(client);
  write_answer(client, status, type, target);
  memmove(client->request, client->request + size, client->come -= size);
}

/* Sends as much of the answer as the client takes now. Returns whether the connection is good. */
static bool send_part(struct client *client) {
  ssize_t n = 1;
  if (client->next < client->end) {
    int more = client->file >= 0 ? MSG_MORE : 0; /* in one packet with the file's beginning */
    n = send(client->fd, client->head + client->next, client->end - client->next,
             MSG_NOSIGNAL | more);
    if (n > 0) client->next += (size_t)n;
  }
  if (client->next == client->end && client->file >= 0) {
    size_t left = (size_t)(client->size - client->sent);
    n = sendfile(client->fd, client->file, &client->sent, left < PART ? left : PART);
    if (client->sent >= client->size) close_file(client);
  }
  if (n > 0) loop_reschedule(server, client->timer, patience);
  return n > 0 || (n < 0 && errno == EAGAIN); /* 0: the file has become shorter */
}

static bool receive(struct client *client) {
  if (client->is_ending) client->come = 0; /* what comes now is not for us */
  ssize_t n = read(client->fd, client->request + client->come,
                   sizeof client->request - client->come);
  if (n > 0) client->come += (size_t)n;
  return n > 0 || (n < 0 && errno == EAGAIN);
}

static void on_client(loop_t *loop, int fd, uint32_t events, void *arg) {
  struct client *client = arg;
  bool is_good = !(events & LOOP_READABLE) || receive(client);
  if (is_good && !is_answering(client) && !client->is_ending) answer(client);
  if (is_good && is_answering(client)) is_good = send_part(client);
  if (!is_answering(client) && client->is_last && !client->is_ending) {
    client->is_ending = true; /* to close now would be a reset if something came meanwhile, */
    shutdown(fd, SHUT_WR);    /* and the answer might be lost; so the client closes first */
  }
  bool is_next_there = !client->is_ending && request_size(client) > 0; /* it waits for its turn */
  uint32_t wanted = is_answering(client) || is_next_there ? LOOP_WRITABLE : LOOP_READABLE;
  if (!is_good || loop_watch_update(loop, client->watch, wanted) < 0)
    loop_cancel(loop, client->watch);
}

static void on_silence(loop_t *loop, void *arg) {
  struct client *client = arg;
  loop_cancel(loop, client->watch);
}

static void free_client(void *arg) { /* the watcher's release function */
  struct client *client = arg;
  loop_cancel(server, client->timer);
  close_file(client);
  close(client->fd);
  free(client);
}

static void accept_again(loop_t *loop, void *watch) {
  loop_watch_update(loop, *(loop_handle_t *)watch, LOOP_READABLE);
}

static void on_newcomer(loop_t *loop, int listener, uint32_t events, void *watch) {
  (void)events;
  struct client *client = calloc(1, sizeof *client);
  int fd = client == NULL ? -1 : accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) { /* no memory or descriptor left: pause the listener for 100 ms */
    if (errno != EAGAIN && loop_call_later(loop, 100 * LOOP_MS, accept_again, watch) > 0)
      loop_watch_update(loop, loop_current(loop), 0);
    free(client);
    return;
  }
  client->fd = fd, client->file = -1;
  client->watch = loop_watch_fd(loop, fd, LOOP_READABLE, on_client, client);
  client->timer = loop_call_later(loop, patience, on_silence, client);
  if (client->timer > 0 && loop_set_release(loop, client->watch, free_client) == 0) return;
  loop_cancel(loop, client->watch); /* harmless if it was loop_watch_fd that failed */
  free_client(client);
}

int main(int argc, char **argv) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof address;
  int yes = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  address.sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 8080));
  root = open(argc > 2 ? argv[2] : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) err(1, "%s", argc > 2 ? argv[2] : ".");
  if (argc > 3) patience = (uint64_t)(atof(argv[3]) * 1e9);
  if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) < 0 ||
      setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) < 0 || /* inherited */
      bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, SOMAXCONN) < 0 ||
      getsockname(listener, (struct sockaddr *)&address, &size) < 0)
    err(1, "cannot listen");
  loop_t *loop = server = loop_new();
  loop_handle_t watch = loop_watch_fd(loop, listener, LOOP_READABLE, on_newcomer, &watch);
  signal(SIGINT, on_stop_signal);
  signal(SIGTERM, on_stop_signal);
  signal(SIGPIPE, SIG_IGN); /* which sendfile sends when a client has gone */
  dprintf(STDOUT_FILENO, "listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
  int result = watch < 0 ? (int)watch : loop_run_forever(loop);
  server = NULL;   /* a signal from here on stops nothing */
  loop_free(loop); /* releases, and so closes and frees, every client */
  close(listener), close(root);
  if (result < 0) errx(1, "%s", loop_strerror(result));
}

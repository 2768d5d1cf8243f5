/* greeting address port [ms]: connects to a server and prints the first words that it says (SMTP, SSH and FTP
 * servers greet). Both steps have a time limit: each is one wait for a descriptor, loop_poll_fd, which ends once:
 * with what happened, or with -ETIMEDOUT. */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <evloop.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct client {
  int fd, exit_code;
  int64_t limit_ns;
};

static void fail(struct client *client, const char *step, int error) {
  fprintf(stderr, "%s: %s\n", step, strerror(error));
  client->exit_code = 1; /* no wait is left, so the run ends */
}

static void on_greeting(loop_t *loop, loop_handle_t wait, uint32_t what, int64_t result, void *data, void *arg) {
  struct client *client = arg;
  char text[512];
  (void)loop, (void)wait, (void)what, (void)data;
  if (result < 0) {
    fail(client, "greeting", (int)-result);
    return;
  }
  ssize_t size = recv(client->fd, text, sizeof text, 0);
  if (size < 0) fail(client, "greeting", errno);
  if (size > 0) fwrite(text, 1, (size_t)size, stdout);
}

static void on_connected(loop_t *loop, loop_handle_t wait, uint32_t what, int64_t result, void *data, void *arg) {
  struct client *client = arg;
  int error = result < 0 ? (int)-result : 0;
  socklen_t size = sizeof error;
  (void)wait, (void)what, (void)data;
  if (error == 0) getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &size); /* what the connect came to */
  if (error != 0) {
    fail(client, "connect", error);
    return;
  }
  loop_handle_t next = loop_poll_fd(loop, client->fd, LOOP_READABLE, client->limit_ns, on_greeting, client);
  if (next < 0) fail(client, loop_strerror((int)next), EIO);
}

int main(int argc, char **argv) {
  struct client client = {.limit_ns = (argc > 3 ? atoll(argv[3]) : 5000) * (int64_t)LOOP_MS};
  struct sockaddr_in address = {.sin_family = AF_INET};
  if (argc < 3 || inet_pton(AF_INET, argv[1], &address.sin_addr) != 1) errx(2, "usage: greeting address port [ms]");
  address.sin_port = htons((uint16_t)atoi(argv[2]));
  client.fd = socket(AF_INET, SOCK_STREAM, 0);
  if (client.fd < 0 || fcntl(client.fd, F_SETFL, O_NONBLOCK) < 0) err(1, "socket");
  if (connect(client.fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS) err(1, "connect");

  loop_t *loop = loop_new();
  loop_handle_t wait = loop_poll_fd(loop, client.fd, LOOP_WRITABLE, client.limit_ns, on_connected, &client);
  int result = wait < 0 ? (int)wait : loop_run(loop); /* until no wait is left */
  if (result < 0) errx(1, "%s", loop_strerror(result));
  loop_free(loop);
  close(client.fd);
  return client.exit_code;
}

/* Law 10, errors: each code has a name and a text of its own, which are static
 * and never NULL; misuse is answered, not printed. */
#define _GNU_SOURCE 1
#include "check.h"

#include <limits.h>
#include <unistd.h>

__attribute__((constructor)) static void hang_guard(void) { alarm(60); }

static const struct {
  int code;
  const char *name;
} codes[] = {
#define CODE(name) {name, #name}
    CODE(LOOP_ENULL),  CODE(LOOP_ENOCALLBACK), CODE(LOOP_ESTALE),  CODE(LOOP_EKIND),
    CODE(LOOP_EMASK),  CODE(LOOP_EOPTIONS),    CODE(LOOP_EWRONGTHREAD), CODE(LOOP_EBUSY),
    CODE(LOOP_EPULL),  CODE(LOOP_EFORKED),     CODE(LOOP_ECLOSED), CODE(LOOP_EPANIC),
    CODE(LOOP_ELIMIT), CODE(LOOP_ECLOCK),
#undef CODE
#define OS(name) {-name, #name}
    OS(EBADF), OS(EPERM), OS(EINVAL), OS(ENOMEM), OS(EMFILE), OS(ENFILE), OS(EEXIST), OS(ENOSPC),
#undef OS
};
enum { CODES = sizeof codes / sizeof *codes };

TEST(every_code_has_its_own_name_and_text) {
  for (int i = 0; i < CODES; i++) {
    CHECK_EQ(strcmp(loop_error_name(codes[i].code), codes[i].name), 0);
    CHECK(strlen(loop_strerror(codes[i].code)) > 0);
    for (int other = 0; other < i; other++) {
      CHECK(codes[i].code != codes[other].code);
      CHECK(strcmp(loop_strerror(codes[i].code), loop_strerror(codes[other].code)) != 0);
    }
  }
}

TEST(names_and_texts_are_static) {
  const char *names[CODES], *texts[CODES];
  char copies[CODES][200];
  for (int i = 0; i < CODES; i++) {
    names[i] = loop_error_name(codes[i].code);
    texts[i] = loop_strerror(codes[i].code);
    snprintf(copies[i], sizeof copies[i], "%s", texts[i]);
  }
  for (int i = CODES - 1; i >= 0; i--) {
    CHECK(loop_error_name(codes[i].code) == names[i]);
    CHECK(loop_strerror(codes[i].code) == texts[i]);
    CHECK_EQ(strncmp(copies[i], texts[i], sizeof copies[i] - 1), 0);
  }
}

TEST(any_number_has_a_name_and_a_text) {
  const int odd[] = {0, 1, INT_MAX, INT_MIN, INT_MIN + 1, -20000, -20015, -30000, -134, -4096};
  for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
    CHECK(loop_error_name(odd[i]) != NULL && loop_error_name(odd[i])[0] != '\0');
    CHECK(loop_strerror(odd[i]) != NULL && loop_strerror(odd[i])[0] != '\0');
    for (int k = 0; k < CODES; k++) {
      CHECK(strcmp(loop_error_name(odd[i]), codes[k].name) != 0);
    }
  }
  for (int code = -1; code >= -133; code--) {
    CHECK(loop_error_name(code) != NULL && loop_error_name(code)[0] != '\0');
    CHECK(loop_strerror(code) != NULL && loop_strerror(code)[0] != '\0');
  }
}

TEST(the_version_is_the_headers) {
  CHECK_EQ(loop_version(), LOOP_VERSION);
  CHECK_EQ(LOOP_VERSION, LOOP_VERSION_MAJOR << 16 | LOOP_VERSION_MINOR << 8 | LOOP_VERSION_PATCH);
}

static int answers[12];

/* CHECKs nothing: what it would print must not be mixed with the library's. */
static void misuse_everything(loop_t *loop, int closed_fd) {
  int *next = answers;
  *next++ = loop_free(NULL);
  *next++ = loop_run(NULL);
  *next++ = loop_new_with(NULL, NULL);
  *next++ = (int)loop_call_soon(loop, NULL, NULL);
  *next++ = (int)loop_watch_fd(loop, closed_fd, LOOP_READABLE, NULL, NULL);
  *next++ = loop_cancel(loop, 12345);
  *next++ = loop_cancel(loop, INT64_MIN);
  *next++ = loop_set_name(loop, -1, NULL);
  *next++ = (int)loop_add_hook(loop, 77, NULL, NULL);
  *next++ = (int)loop_call_every(loop, 0, 0, 9, NULL, NULL);
  *next++ = loop_advance(loop, 1);
  *next++ = loop_watch_update(loop, INT64_MAX, UINT32_MAX);
}

TEST(misuse_prints_nothing) {
  loop_t *loop = loop_new();
  FILE *output = tmpfile();
  int saved[2] = {dup(STDOUT_FILENO), dup(STDERR_FILENO)};
  CHECK(output != NULL);
  CHECK_EQ(fflush(NULL), 0);
  dup2(fileno(output), STDOUT_FILENO);
  dup2(fileno(output), STDERR_FILENO);
  misuse_everything(loop, 1 << 20);
  fflush(NULL);
  dup2(saved[0], STDOUT_FILENO);
  dup2(saved[1], STDERR_FILENO);
  CHECK_EQ(lseek(fileno(output), 0, SEEK_END), 0);
  for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) CHECK(answers[i] < 0);
  CHECK_EQ(loop_run(loop), 1);
  CHECK_EQ(loop_free(loop), 0);
  fclose(output);
  close(saved[0]);
  close(saved[1]);
}

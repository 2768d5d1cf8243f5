/* link: -rdynamic -lpthread -ldl */
/* The page that notices a fork is made once in a process, with its first loop.
 * Where that fails a fork goes unnoticed, and all else works. Each failure in a
 * child process of its own, since here no loop has been made yet. */
#define _GNU_SOURCE 1
#include "fault_frame.h"

#include "fault_syscalls.h"

static int is_true(void) { return 0; }
static void end(void) {}

static void use_a_loop(void) {
  fault.name = "no page that notices forks";
  fault.is_true = is_true;
  fault.end = end;
  open_loop(0, 0);
  CHECK(inject.error == 0 || inject.injected > 0);
  inject.error = 0;
  struct source *s = new_source(1);
  later(US(100), s);
  run_until(s, 1);
}

static int status_of(pid_t child) {
  int status;
  CHECK(child > 0);
  CHECK_EQ(waitpid(child, &status, 0), child);
  return status;
}

/* What does a loop say in a forked child? */
static int code_in_child(void) {
  pid_t child = fork();
  if (child == 0) _exit(loop_wake(loop) == LOOP_EFORKED ? 2 : loop_wake(loop) == 0 ? 3 : 4);
  int status = status_of(child);
  CHECK(WIFEXITED(status));
  return WEXITSTATUS(status);
}

static void in_child_without(enum call call, int error, int expected_code) {
  pid_t child = fork();
  if (child != 0) {
    CHECK_EQ(status_of(child), 0);
    return;
  }
  inject.call = call;
  inject.error = error;
  inject.at = inject.times = 1;
  use_a_loop();
  CHECK_EQ(code_in_child(), expected_code);
  work_out();
  free_loop();
  _exit(0);
}

TEST(a_fork_is_noticed_with_the_page) { in_child_without(MMAP, 0, 2); }
TEST(no_memory_for_the_page) { in_child_without(MMAP, ENOMEM, 3); }
TEST(a_kernel_that_cannot_wipe_the_page) { in_child_without(MADVISE, EINVAL, 3); }

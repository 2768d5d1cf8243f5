/* Law 10, options: what this version does not know is refused, and nothing is
 * written; a larger struct with a zero tail, or an older one, is accepted. */
#define _GNU_SOURCE 1
#include "check.h"

#include <unistd.h>

__attribute__((constructor)) static void hang_guard(void) { alarm(60); }

TEST(bad_options_are_EOPTIONS) {
  const loop_options_t good = {sizeof good, 0, 0, 0, 0, 0};
  struct {
    loop_options_t options;
    unsigned char tail[16];
  } larger = {good, {0}};
  const uint32_t flags[] = {64, UINT32_C(1) << 31,
                            LOOP_VIRTUAL_CLOCK | LOOP_MANUAL_CLOCK};
  const uint32_t sizes[] = {0, 4, 7}; /* not even size and flags */
  loop_options_t bad;
  loop_t *const untouched = (loop_t *)&bad; /* only to be compared */
  loop_t *out = untouched;
  for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
    bad = good;
    bad.flags = flags[i];
    CHECK_EQ(loop_new_with(&bad, &out), LOOP_EOPTIONS);
  }
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    bad = good;
    bad.size = sizes[i];
    CHECK_EQ(loop_new_with(&bad, &out), LOOP_EOPTIONS);
  }
  bad = good;
  bad.reserved = 1;
  CHECK_EQ(loop_new_with(&bad, &out), LOOP_EOPTIONS);
  larger.options.size = sizeof good + sizeof larger.tail;
  for (size_t i = 0; i < sizeof larger.tail; i++) {
    larger.tail[i] = 1;
    CHECK_EQ(loop_new_with(&larger.options, &out), LOOP_EOPTIONS);
    larger.tail[i] = 0;
  }
  CHECK(out == untouched); /* written only on success */
  CHECK_EQ(loop_new_with(&larger.options, &out), 0);
  CHECK(out != untouched);
  CHECK_EQ(loop_free(out), 0);
  bad = good;
  bad.size = 2 * sizeof(uint32_t); /* an older, shorter struct */
  CHECK_EQ(loop_new_with(&bad, &out), 0);
  CHECK_EQ(loop_run(out), 1);
  CHECK_EQ(loop_free(out), 0);
}

/* glib_source.c: evloop as the guest of a GLib main loop (GTK's as well), as a source that also
 * runs in the main loop of a dialog. A callback opens one here, and waits for its answer. */
#include <evloop.h>
#include <glib.h>

#define MS UINT64_C(1000000)

struct guest {
  GSource source; /* first: GLib allocates the whole struct and frees it */
  loop_t *loop;
  gpointer tag; /* names the loop's descriptor in the source */
};

/* GLib has polled: is the loop's descriptor readable? */
static gboolean guest_check(GSource *source) {
  return g_source_query_unix_fd(source, ((struct guest *)source)->tag) != 0;
}

static gboolean guest_dispatch(GSource *source, GSourceFunc callback, gpointer data) {
  (void)callback, (void)data; /* of g_source_set_callback, which this source does not need */
  int result = loop_run_once(((struct guest *)source)->loop, 0); /* a turn that does not wait */
  if (result < 0) g_warning("evloop: %s", loop_strerror(result));
  return result == LOOP_ECLOSED || result == LOOP_EPANIC ? G_SOURCE_REMOVE : G_SOURCE_CONTINUE;
}

static GSourceFuncs guest_functions = {.check = guest_check, .dispatch = guest_dispatch};

/* Makes the loop a guest of this thread's main context. NULL: the loop has no descriptor. */
static GSource *guest_attach(loop_t *loop) {
  int fd = loop_fd(loop);
  if (fd < 0) return NULL;
  GSource *source = g_source_new(&guest_functions, sizeof(struct guest));
  ((struct guest *)source)->loop = loop;
  ((struct guest *)source)->tag = g_source_add_unix_fd(source, fd, G_IO_IN);
  g_source_set_can_recurse(source, TRUE); /* or nested main loops leave the source out */
  g_source_attach(source, g_main_context_get_thread_default());
  return source;
}

/* Before loop_free, which closes the descriptor that GLib polls. */
static void guest_detach(GSource *source) {
  g_source_destroy(source);
  g_source_unref(source);
}

static GMainLoop *outer;
static int ticks, ticks_in_dialog;

static void on_tick(loop_t *loop, uint64_t count, void *arg) {
  (void)loop, (void)count, (void)arg;
  ticks++;
  if (loop_is_running(loop) > 1) ticks_in_dialog++;
}

static void on_answer(loop_t *loop, void *dialog) {
  (void)loop;
  g_main_loop_quit(dialog);
}

static void open_dialog(loop_t *loop, void *arg) {
  GMainLoop *dialog = g_main_loop_new(NULL, FALSE);
  (void)arg;
  loop_call_later(loop, 30 * MS, on_answer, dialog);
  loop_flush(loop); /* GLib waits inside this callback, so the kernel has to know of the timer */
  g_main_loop_run(dialog);
  g_main_loop_unref(dialog);
  g_main_loop_quit(outer);
}

int main(void) {
  loop_t *loop = loop_new();
  outer = g_main_loop_new(NULL, FALSE);
  GSource *source = guest_attach(loop);
  if (source == NULL) return 1;
  loop_call_every(loop, 5 * MS, 5 * MS, LOOP_RUN_MISSED, on_tick, NULL);
  loop_call_later(loop, 20 * MS, open_dialog, NULL);
  g_main_loop_run(outer);
  guest_detach(source);
  loop_free(loop);
  g_main_loop_unref(outer);
  return ticks_in_dialog < 1 || ticks <= ticks_in_dialog;
}

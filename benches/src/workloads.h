/* All workloads, each in the file of its subject. */
#include "bench.h"

void run_soon(uint64_t count);
void run_soon_own_queue(uint64_t count);
void run_chain(uint64_t count);
void run_clock(uint64_t count);
void run_timers(uint64_t count);
void run_growing_timers(uint64_t count);
void run_timer_fire(uint64_t count);
void run_passing(uint64_t count);
void run_idle_timeouts(uint64_t count);
void run_lateness(uint64_t samples);
void run_watch_setup(uint64_t count);
void run_watch_one(uint64_t count);
void run_watch_toggle(uint64_t count);
void run_delivery(uint64_t events);
void run_delivery_among(uint64_t count);
void run_post(uint64_t count);
void run_post_merged(uint64_t count);
void run_round_trip(uint64_t count);
void run_echo_1(uint64_t requests);
void run_echo_50(uint64_t requests);
void run_echo_1000(uint64_t requests);
void run_accept(uint64_t connections);
void run_worst(uint64_t count);
void run_host(uint64_t count);
void run_wait(uint64_t count);
void run_throwing(uint64_t count);
void run_new_free(uint64_t count);
void run_empty_turn(uint64_t turns);
void run_memory_timers(uint64_t count);
void run_memory_soon(uint64_t count);
void run_memory_watchers(uint64_t count);
void run_memory_loops(uint64_t count);

static const workload workloads[] = {
    {"soon", run_soon, 1000000},
    {"soon_own_queue", run_soon_own_queue, 1000000},
    {"chain", run_chain, 1000000},
    {"clock", run_clock, 200000},
    {"timers", run_timers, 1000000},
    {"growing_timers", run_growing_timers, 1000000},
    {"timer_fire", run_timer_fire, 1000000},
    {"passing", run_passing, 1000000},
    {"idle_timeouts", run_idle_timeouts, 100000},
    {"lateness", run_lateness, 20},
    {"watch_setup", run_watch_setup, 1000},
    {"watch_one", run_watch_one, 20000},
    {"watch_toggle", run_watch_toggle, 1000000},
    {"delivery", run_delivery, 100000},
    {"delivery_among", run_delivery_among, 1000},
    {"post", run_post, 1000000},
    {"post_merged", run_post_merged, 1000000},
    {"round_trip", run_round_trip, 20000},
    {"echo_1", run_echo_1, 20000},
    {"echo_50", run_echo_50, 50000},
    {"echo_1000", run_echo_1000, 50000},
    {"accept", run_accept, 5000},
    {"worst", run_worst, 1000000},
    {"host", run_host, 100000},
    {"wait", run_wait, 100000},
    {"throwing", run_throwing, 200000},
    {"new_free", run_new_free, 2000},
    {"empty_turn", run_empty_turn, 200000},
    {"memory_timers", run_memory_timers, 1000000},
    {"memory_soon", run_memory_soon, 1000000},
    {"memory_watchers", run_memory_watchers, 10000},
    {"memory_loops", run_memory_loops, 1000},
    {0},
};

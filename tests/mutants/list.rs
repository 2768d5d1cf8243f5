//! The mutants: each breaks a promise in the smallest way. `text` is found wherever it is in
//! `src/`, and must be there exactly once.

pub struct Mutant {
    /// What the broken library does.
    pub name: &'static str,
    /// The law of the design that it breaks.
    pub law: &'static str,
    pub text: &'static str,
    pub instead: &'static str,
    /// The C tests that notice it if the model test does not; all of them if empty.
    pub tests: &'static str,
}

const fn mutant(law: &'static str, name: &'static str, text: &'static str, instead: &'static str) -> Mutant {
    Mutant { name, law, text, instead, tests: "" }
}

/// A mutant that certain C tests notice.
const fn tried(
    tests: &'static str,
    law: &'static str,
    name: &'static str,
    text: &'static str,
    instead: &'static str,
) -> Mutant {
    Mutant { name, law, text, instead, tests }
}

pub const MUTANTS: &[Mutant] = &[
    mutant(
        "2 FIFO",
        "a_ready_callback_is_overtaken",
        "match self.ring.pop_before(end, Next::new)? {",
        "match self.ring.pop_before(end, Next::new)? {
                Next::PlainSoon(sequence, callable)
                    if sequence % 16 == 9
                        && self.ring.head() < end
                        && self.ring.push(Packed::plain_soon(callable)).is_ok() => {}",
    ),
    mutant(
        "2 snapshot",
        "what_a_callback_schedules_runs_in_the_same_turn",
        "while let Some(next) = self.sources.ready.next_before(end) {",
        "let _ = end;
        while let Some(next) = self.sources.ready.next_before(self.sources.ready.end()) {",
    ),
    mutant(
        "2 order",
        "posts_come_before_due_timers",
        "        self.collect_timers()?;
        if self.has_posts()",
        "        if self.has_posts() {
            self.collect_posts()?;
        }
        self.collect_timers()?;
        if self.has_posts()",
    ),
    mutant(
        "2 order",
        "only_the_last_watcher_of_a_descriptor_is_told",
        "let (mut wanted, mut lost) = (false, false);",
        "let (mut wanted, mut lost) = (false, false);
        let mut first = first;
        while self.slots.at(first).next != NONE {
            first = self.slots.at(first).next;
        }",
    ),
    mutant(
        "3 order",
        "equal_timers_fire_in_reverse",
        "(self.deadline.0, self.order.0)",
        "(self.deadline.0, !self.order.0)",
    ),
    mutant(
        "3 order",
        "a_rescheduled_timer_keeps_its_place_among_equals",
        "        self.order += 1;
        timer.order = Word(self.order);
        let old",
        "        let old",
    ),
    mutant(
        "3 never early",
        "a_timer_fires_1_ns_early",
        "if deadline <= now &&",
        "if deadline <= now.saturating_add(1) &&",
    ),
    mutant(
        "3 periods",
        "a_periodic_timer_drifts",
        "Missed::Run => (1, deadline.saturating_add(period.interval)),",
        "Missed::Run => (1, self.clock.now().saturating_add(period.interval)),",
    ),
    mutant(
        "3 periods",
        "missed_ticks_are_not_counted",
        "Some(Call::Tick(period.callback, ticks))",
        "Some(Call::Tick(period.callback, ticks.min(2)))",
    ),
    mutant(
        "4 cancel",
        "a_cancelled_ready_callback_runs",
        "let removed = self.sources.ready.remove_soon(sequence);",
        "let removed = self.sources.ready.get(sequence).and_then(Entry::as_soon);",
    ),
    mutant(
        "4 cancel",
        "a_cancelled_one_shot_is_stale_in_its_own_callback",
        "if is_one_shot && (has_fired || self.is_on_stack(handle)) {",
        "if is_one_shot && has_fired && !self.is_on_stack(handle) {",
    ),
    mutant(
        "5 handles",
        "a_stale_handle_names_the_next_source",
        "slot.generation = (id.generation + 1) | FREE;",
        "slot.generation |= FREE;",
    ),
    mutant(
        "6 release",
        "a_release_is_made_twice",
        "let Some((release, arg)) = due else { break };",
        "let Some((release, arg)) = due else { break };
            if !self.is_closed() {
                release.call(arg);
            }",
    ),
    mutant(
        "6 release",
        "a_cancelled_watcher_is_never_released",
        "self.end_source(Handle::Slot(Kind::Watch, id).to_raw(), removed.extras, removed.arg);",
        "",
    ),
    mutant(
        "6 release",
        "releases_wait_for_the_outermost_run",
        "if !self.sources.releases.is_empty() && !self.is_closed() {",
        "if !self.sources.releases.is_empty() && !self.is_closed() && self.runs.depth.get() == 1 {",
    ),
    mutant(
        "6 release",
        "a_nested_run_releases_what_an_outer_callback_uses",
        "            *running = ended;
            return true;",
        "            let _ = running;
            return false;",
    ),
    mutant(
        "6 release",
        "a_source_is_released_after_the_innermost_of_its_callbacks",
        "let ended = Current { handle, extras, arg };",
        "let ended = Current { handle, extras, arg };
        if self.runs.current.handle() == handle {
            self.runs.current.set(ended);
            return true;
        }",
    ),
    mutant(
        "7 stale events",
        "an_event_is_told_after_the_update_that_took_it_away",
        "        if pending != 0 {
            self.narrow_pending(",
        "        if pending == 1 {
            self.narrow_pending(",
    ),
    mutant(
        "7 stale events",
        "old_watchers_hear_of_the_numbers_new_file",
        "if entry.is(REGISTERED | UNWATCHABLE) {",
        "if entry.is(UNWATCHABLE) {",
    ),
    mutant(
        "7 stale events",
        "an_event_left_by_a_budget_is_told_though_it_is_over",
        "age if age > self.polls.wrapping_sub(self.last_whole_poll) => Truth::Over,",
        "age if age > self.polls.wrapping_sub(self.last_whole_poll) => Truth::Reported,",
    ),
    mutant(
        "7 one-shot",
        "a_one_shot_watcher_is_not_paused",
        "if watch.mask() & ONESHOT != 0 {",
        "if watch.mask() & ONESHOT == u32::MAX {",
    ),
    mutant(
        "7 paused",
        "a_paused_watcher_is_told_of_a_hang_up",
        "match self.is(EVENTS) {",
        "match ended != 0 {",
    ),
    mutant(
        "7 hang-up",
        "a_hang_up_does_not_wake_a_reader",
        "(reported | READABLE | WRITABLE) &",
        "(reported | WRITABLE) &",
    ),
    mutant(
        "7 edge",
        "an_edge_watcher_shares_its_descriptor",
        "(mask | other.state) & EDGE != 0",
        "mask & other.state & EDGE != 0",
    ),
    mutant(
        "10 free",
        "callbacks_run_after_the_loop_is_freed",
        "let _ = self.guarded(|| self.end_all_sources());",
        "",
    ),
    mutant(
        "10 exceptions",
        "a_callback_that_threw_is_not_finished",
        "self.finish_current();
        if self.shared.is_stopping() {",
        "if self.shared.is_stopping() {",
    ),
    mutant(
        "10 exceptions",
        "a_stop_outlives_the_run_that_an_exception_ended",
        "self.finish_current();
        if self.shared.is_stopping() {",
        "self.finish_current();
        if self.is_closed() {",
    ),
    mutant(
        "12 threads",
        "another_thread_may_use_a_running_loop",
        "(owner == NOBODY || owner == thread::current())",
        "(owner < POISONED.min(CLOSED))",
    ),
    mutant(
        "13 stop",
        "a_stop_at_rest_is_forgotten",
        "on.stop_resting();",
        "on.stop_resting();
        let _ = on.shared.take_stop();",
    ),
    mutant(
        "13 stop",
        "a_stop_ends_the_run_before_its_snapshot",
        "if is_over() {",
        "if self.shared.is_stopping() || is_over() {",
    ),
    mutant(
        "13 nested runs",
        "a_nested_run_finishes_the_callback_that_runs_it",
        "self.runs.depth.get() > 1 && self.runs.outer.borrow().iter().any(|outer| outer.handle == handle)",
        "self.runs.depth.get() > 1_000 && self.runs.outer.borrow().iter().any(|outer| outer.handle == handle)",
    ),
    mutant("13 budget", "a_spent_budget_is_overdrawn", "if is_over() {", "if count > 1 && is_over() {"),
    mutant(
        "14 wake-ups",
        "a_wake_that_no_wait_used_up_is_forgotten",
        "            && !self.shared.is_woken()
",
        "",
    ),
    mutant(
        "14 wake-ups",
        "a_post_as_a_run_ends_tells_nobody",
        "if owes_hook {",
        "if owes_hook && on.is_closed() {",
    ),
    mutant(
        "14 wake-ups",
        "a_flush_uses_up_the_next_call_of_the_hook",
        "let owes_hook = on.rest();",
        "let owes_hook = !on.host.is_resting() && on.rest();",
    ),
    mutant(
        "14 hosts",
        "work_left_does_not_make_the_descriptor_readable",
        "announce(self.is_work_left()",
        "announce(false",
    ),
    mutant("run", "an_unref_timer_keeps_the_run_going", "self.armed > self.armed_unref", "self.armed > 0"),
    mutant(
        "hooks",
        "a_hook_that_a_hook_adds_runs_at_once",
        "(order <= newest).then_some(",
        "(order <= newest + 1).then_some(",
    ),
    mutant(
        "pull",
        "what_was_handed_out_is_never_finished",
        "        self.guarded(|| self.finish_handed())?;
",
        "",
    ),
    mutant(
        "5 handles",
        "a_periodic_timer_keeps_its_old_argument",
        "period.callback.arg = arg;",
        "let _ = period;",
    ),
    mutant(
        "6 release",
        "a_freed_loop_does_not_release_posts",
        "            self.release_posts();
",
        "            let _ = Loop::release_posts;
",
    ),
    mutant(
        "7 events",
        "a_half_close_is_told_unasked",
        "return reported & self.state;",
        "return reported & (self.state | crate::sys::READ_CLOSED);",
    ),
    mutant(
        "7 edge",
        "an_update_does_not_report_an_edge_anew",
        "if mask & EDGE != 0 {",
        "if mask == u32::MAX {",
    ),
    mutant(
        "7 unwatchable",
        "a_closed_unwatchable_descriptor_stays_ready",
        "if !is_behind(watch.fd, *file) {",
        "if !is_behind(watch.fd, *file) && share == u32::MAX {",
    ),
    mutant(
        "14 wake-ups",
        "work_after_cancelled_work_is_no_news",
        "let more = work && !told;",
        "let more = work && !told;
        self.host.notified_work.set(told || work);",
    ),
    mutant(
        "14 wake-ups",
        "loop_fd_makes_the_hook_be_called_again",
        "if self.host.attendant.get() == Attendant::Nobody {",
        "if self.host.is_resting() {",
    ),
    mutant(
        "run",
        "an_unref_ready_callback_keeps_the_run_going",
        "            self.sources.ready.set_unref(sequence, unref);",
        "            let _ = sequence;",
    ),
    mutant(
        "run",
        "a_remote_does_not_keep_the_run_going",
        "self.remotes.load(Ordering::Acquire) > 0 || self.has_posts()",
        "self.has_posts()",
    ),
    mutant(
        "run",
        "a_paused_watcher_does_not_keep_the_run_going",
        "self.slots.len() > self.unref",
        "self.waiting > 0",
    ),
    mutant(
        "hooks",
        "an_idle_hook_is_called_before_a_poll",
        "if is_hooked && plan != Plan::Poll &&",
        "if is_hooked &&",
    ),
    mutant(
        "pull",
        "a_batch_goes_on_behind_a_callback",
        "Some(Entry::Soon { callback, .. }) => callback.is_pulled(),",
        "Some(Entry::Soon { .. }) => true,",
    ),
    // The C tests notice these.
    mutant(
        "6 release",
        "the_room_promised_to_releases_is_trimmed",
        "self.due.trim(self.promised.get());",
        "self.due.trim(0);",
    ),
    mutant(
        "6 release",
        "the_room_promised_to_releases_is_a_block_short",
        "while blocks_between(head, end) > self.directory.len() {",
        "while blocks_between(head, end) > self.directory.len() + 1 {",
    ),
    mutant(
        "6 release",
        "room_is_made_for_the_last_promise_only",
        "self.due.reserve(self.promised.get() + 1)?;",
        "self.due.reserve(1)?;",
    ),
    mutant(
        "10 memory",
        "a_post_that_finds_no_memory_is_lost",
        "                self.accept(post)?;",
        "                let _ = self.accept(post);",
    ),
    mutant("11 memory", "what_is_cancelled_holds_its_memory", "if gone == BLOCK {", "if gone > BLOCK {"),
    mutant(
        "11 memory",
        "a_burst_of_cancelled_ones_is_kept",
        "self.all > self.needed + Self::MORE",
        "self.all > u32::MAX - Self::MORE",
    ),
    mutant(
        "11 memory",
        "memory_is_never_given_back",
        "self.low.div_ceil(2).min(Self::AT_MOST)",
        "self.low.min(Self::AT_MOST).min(0)",
    ),
    mutant(
        "11 stack",
        "a_block_is_made_on_the_stack",
        "let mut place = Vec::<Block<S, O, M, N>>::new();",
        "std::hint::black_box([0u8; 16 * 1024]);
    let mut place = Vec::<Block<S, O, M, N>>::new();",
    ),
    // What nobody noticed once. Where a name of C tests is given, these have to notice it if the model
    // test does not.
    tried(
        "exceptions_free_the_loop",
        "10 exceptions",
        "a_loop_freed_by_who_throws_is_leaked",
        "let _freed = FreeWhenClosed(pointer);
    method(target)",
        "let freed = std::mem::ManuallyDrop::new(FreeWhenClosed(pointer));
    let result = method(target);
    drop(std::mem::ManuallyDrop::into_inner(freed));
    result",
    ),
    tried(
        "fd_own",
        "7 own descriptors",
        "a_loops_own_descriptors_can_be_watched",
        "if fd < 0 || poller.owns(fd) {",
        "if fd < 0 {",
    ),
    tried("run_polls_first", "8 polls", "a_run_skips_its_first_poll", "on.runs.next_poll.set(0);", ""),
    tried(
        "fairness",
        "8 polls",
        "a_busy_loop_polls_once_only",
        "if now < self.runs.next_poll.get() {",
        "if self.runs.next_poll.get() > 0 {",
    ),
    tried(
        "law_06_release",
        "6 release",
        "a_run_begins_without_the_releases_that_are_owed",
        "if !on.sources.releases.is_empty() {",
        "if on.is_closed() {",
    ),
    tried(
        "law_06_release",
        "6 release",
        "posts_of_a_freed_loop_are_released_beside_others_only",
        "if !self.sources.releases.is_empty() || self.is_closed() {",
        "if !self.sources.releases.is_empty() {",
    ),
    tried(
        "exceptions",
        "10 exceptions",
        "a_run_that_an_exception_ended_stays_on_the_stack",
        "            self.on.finish_thrown();
        }
        self.put_in_order();",
        "            self.on.finish_thrown();
            return;
        }
        self.put_in_order();",
    ),
    tried(
        "exceptions_after_free",
        "10 free",
        "a_loop_is_freed_by_the_innermost_run",
        "if target.is_closed() && target.is_at_rest() {",
        "if target.is_closed() {",
    ),
    tried(
        "law_13",
        "13 nested runs",
        "a_nested_run_forgets_whose_callback_runs",
        "self.runs.current.set(outer);",
        "let _ = outer;",
    ),
    tried(
        "poll_fd",
        "4 objects",
        "the_parts_of_a_cancelled_operation_go_on",
        "        self.end_parts(member.parts);
",
        "",
    ),
    tried(
        "poll_fd",
        "4 objects",
        "the_parts_of_a_finished_operation_go_on",
        "self.end_parts(std::mem::take(&mut member.parts));",
        "",
    ),
    tried(
        "poll_fd",
        "run",
        "unref_is_not_passed_on_to_the_parts",
        "for handle in member.parts {",
        "for handle in [0; PARTS] {",
    ),
    tried(
        "poll_fd",
        "run",
        "a_deadline_that_is_given_later_keeps_the_run_going",
        "timers.set_unref(id, self.unref);",
        "",
    ),
    tried(
        "poll_fd",
        "4 objects",
        "a_handle_is_finished_before_its_callback",
        "callback.call(self, handle, notice.what, notice.result, notice.data);
        self.finish_current();",
        "self.finish_current();
        callback.call(self, handle, notice.what, notice.result, notice.data);",
    ),
    tried(
        "poll_fd",
        "6 objects",
        "a_finished_operation_is_never_released",
        "if let Some(member) = ended {",
        "if let Some(member) = ended.filter(|_| self.is_closed()) {",
    ),
    tried(
        "poll_fd",
        "6 objects",
        "a_cancelled_operation_is_never_released",
        "let handle = Handle::Slot(Kind::Object, id).to_raw();
        self.end_source(handle, member.extras, member.callback.arg);",
        "let _ = (id, member.extras);",
    ),
    tried(
        "poll_fd",
        "objects",
        "a_deadline_wins_over_readiness",
        "Fired::Timer => parts.look(WATCH),",
        "Fired::Timer => 0,",
    ),
    tried(
        "poll_fd",
        "objects",
        "an_operation_is_armed_again_in_its_callback",
        "let is_active = |member: &&mut Member| member.state == State::Active;",
        "let is_active = |_: &&mut Member| true;",
    ),
    tried(
        "poll_fd",
        "objects",
        "an_operation_without_a_limit_has_no_time_left",
        "_ => Some(NEVER),",
        "_ => None,",
    ),
    tried(
        "poll_fd",
        "pull",
        "an_operation_that_is_handed_out_is_void",
        "state = State::HandedOut;",
        "state = State::Ended;",
    ),
    tried(
        "poll_fd",
        "pull",
        "an_operation_that_was_handed_out_is_never_finished",
        "for id in handed.objects.drain(..) {",
        "for id in handed.objects.drain(..0) {",
    ),
    tried(
        "fork_strangers",
        "7 closed",
        "a_child_watches_a_strangers_file",
        "if !is_same {",
        "if !is_same && self.is_closed() {",
    ),
    tried(
        "fault_memory",
        "10 memory",
        "an_operation_that_could_not_begin_leaves_its_parts",
        "self.end_parts(handles);",
        "let _ = handles;",
    ),
    tried(
        "fork",
        "fork",
        "a_child_does_not_watch_what_its_parent_did",
        "poller.after_fork(&registrations)?;",
        "poller.after_fork(&registrations[..0])?;",
    ),
    tried("fork", "fork", "a_child_wakes_its_parent", "self.shared.renew_waker()?;", ""),
    tried("fork", "fork", "a_child_waits_on_its_parents_set", "poller.after_fork(&registrations)?;", ""),
    tried(
        "fork",
        "fork",
        "a_child_runs_the_rest_of_its_parents_snapshot",
        "if process.is_over() {",
        "if process.is_over() && self.is_closed() {",
    ),
    tried(
        "stop_all",
        "13 stop",
        "a_stop_of_all_ends_one_run_only",
        "if asked == Stop::All {",
        "if asked == Stop::All && self.is_closed() {",
    ),
    tried(
        "stop_all",
        "13 stop",
        "a_stop_of_all_ends_a_run_that_begins_later",
        "self.shared.take_stop_all();",
        "",
    ),
];

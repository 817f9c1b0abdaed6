//! A stream's window: every item that is taken is delivered, with its own result and in its place, whoever runs it; a
//! consumer that waits is told; a runner that leaves beside a new item leaves it to another.
//!
//! Checked under loom's model, in both role orders, to three preemptions; with two threads without a bound.

use crate::common::{Bound, Witness, check, fails_with, two_roles};
use loom::thread;
use purloin_loom::internals::cancel::Limit;
use purloin_loom::internals::primitive::{Arc, Flaw, with_flaw};
use purloin_loom::internals::window::{Begun, Stalled, Window};
use test_fork::test;

type Stream = Window<usize, usize>;

/// Which role the model's main thread plays.
#[derive(Clone, Copy, Debug)]
enum Main {
    Consumer,
    Runner,
}

const BOTH: [Main; 2] = [Main::Consumer, Main::Runner];

/// What a task of the pool does.
fn run(stream: &Stream, ran: Option<&'static Witness>) {
    while let Some(Begun { index, item, another }) = stream.begin_or_leave() {
        if another {
            // It is dropped unrun.
            stream.leave();
        }
        ran.inspect(|witness| witness.hit());
        assert!(stream.finish(index, Ok(item * 10)).is_none(), "the consumer is there");
    }
}

/// Takes in the second item and all results. Whether the consumer helps is what an idle core decides.
fn consume(stream: &Arc<Stream>, helps: bool, seen: Option<&Seen>) {
    let another = stream.push(2, 1).then(|| {
        seen.inspect(|seen| seen.second_runner.hit());
        let stream = Arc::clone(stream);
        thread::spawn(move || run(&stream, None))
    });
    for (due, expected) in [10, 20].into_iter().enumerate() {
        let outcome = loop {
            if let Some(outcome) = stream.deliver() {
                break outcome;
            }
            let stalled = stream.stalled();
            assert_ne!(stalled, Some(Stalled::Abandoned), "whoever leaves finds nothing to run");
            match stalled {
                Some(stalled) if helps || stalled == Stalled::Starved => {
                    if let Some(Begun { index, item, another }) = stream.begin() {
                        assert_eq!(index, due, "the consumer runs what is to be delivered next");
                        if another {
                            stream.leave();
                        }
                        seen.inspect(|seen| seen.helped.hit());
                        assert!(stream.finish(index, Ok(item * 10)).is_none());
                    }
                }
                _ => {
                    seen.inspect(|seen| seen.waited.hit());
                    stream.wait(&Limit::default(), None);
                }
            }
        };
        assert_eq!(outcome.ok(), Some(expected));
    }
    if let Some(another) = another {
        another.join().unwrap();
    }
}

#[derive(Clone, Copy)]
struct Seen {
    ran: &'static Witness,
    helped: &'static Witness,
    waited: &'static Witness,
    second_runner: &'static Witness,
}

/// A runner and a consumer, and two items. Fails with [`Flaw::RunnerLeavesLate`], [`Flaw::ConsumerForgotten`] and
/// [`Flaw::HelpsAhead`].
fn stream(main: Main, helps: bool, seen: Option<Seen>) {
    let stream = Arc::new(Stream::new(true));
    assert!(stream.push(1, 1), "the first item is due a runner");
    let there = Arc::clone(&stream);
    let ran = seen.map(|seen| seen.ran);
    two_roles(main as usize, move || consume(&stream, helps, seen.as_ref()), move || run(&there, ran));
}

#[test]
fn every_item_is_delivered() {
    for main in BOTH {
        for helps in [false, true] {
            let seen = Seen {
                ran: Witness::leaked("a runner ran an item"),
                helped: Witness::leaked("the consumer ran an item"),
                waited: Witness::leaked("the consumer waited"),
                second_runner: Witness::leaked("the first runner had left, and a second came"),
            };
            println!("main thread: {main:?}, the consumer helps: {helps}");
            check("window", Bound::AtLeast(3), move || stream(main, helps, Some(seen))).at_least(100);
            seen.ran.assert_seen();
            seen.waited.assert_seen();
            seen.second_runner.assert_seen();
            if helps {
                seen.helped.assert_seen();
            }
        }
    }
}

/// Without order: results as they come, and the consumer is told of each. Fails with [`Flaw::ConsumerForgotten`].
fn without_order(main: Main, waited: &'static Witness) {
    let consume = move |stream: &Stream| {
        while stream.deliver().is_none() {
            waited.hit();
            stream.wait(&Limit::default(), None);
        }
    };
    let stream = Arc::new(Stream::new(false));
    assert!(stream.push(1, 1));
    let there = Arc::clone(&stream);
    two_roles(main as usize, move || consume(&stream), move || run(&there, None));
}

#[test]
fn results_come_as_they_are_made() {
    for main in BOTH {
        let waited = Witness::leaked("the consumer waited");
        println!("main thread: {main:?}");
        check("window: without order", Bound::Unbounded, move || without_order(main, waited)).at_least(10);
        waited.assert_seen();
    }
}

/// A runner that is dropped unrun, as tasks of a terminated pool are: the consumer is told, and runs the item itself. Fails
/// with [`Flaw::DroppedUntold`].
fn dropped_runner(main: Main, abandoned: &'static Witness, waited: &'static Witness) {
    let consume = move |stream: &Stream| {
        while stream.deliver().is_none() {
            if stream.stalled() == Some(Stalled::Abandoned) {
                abandoned.hit();
                let Begun { index, item, .. } = stream.begin().expect("nobody else takes it");
                assert!(stream.finish(index, Ok(item)).is_none());
            } else {
                waited.hit();
                stream.wait(&Limit::default(), None);
            }
        }
    };
    let stream = Arc::new(Stream::new(false));
    assert!(stream.push(1, 1));
    let there = Arc::clone(&stream);
    two_roles(main as usize, move || consume(&stream), move || there.leave());
}

#[test]
fn a_dropped_runner_is_told_of() {
    for main in BOTH {
        let (abandoned, waited) = (Witness::leaked("the consumer found out"), Witness::leaked("the consumer waited"));
        println!("main thread: {main:?}");
        check("window: dropped runner", Bound::Unbounded, move || dropped_runner(main, abandoned, waited)).at_least(5);
        abandoned.assert_seen();
        waited.assert_seen();
    }
}

/// Of no interest where a mistake is built in.
static IGNORED: Witness = Witness::new("ignored");

fn finds_in(flaw: Flaw, message: &str, play: impl Fn(Main) + Copy + Send + Sync + 'static) {
    for main in BOTH {
        println!("{flaw:?}, main thread: {main:?}");
        fails_with(message, || {
            with_flaw(flaw, || {
                check("window: seeded flaw", Bound::AtLeast(3), move || play(main));
            });
        });
    }
}

fn finds(flaw: Flaw, message: &str, helps: bool) {
    finds_in(flaw, message, move |main| stream(main, helps, None));
}

/// Seeded: a runner that found nothing is still counted when the next item comes, and leaves afterwards.
#[test]
fn a_runner_that_leaves_late_is_found() {
    finds(Flaw::RunnerLeavesLate, "deadlock", false);
}

/// Seeded: the consumer is not told.
#[test]
fn a_forgotten_consumer_is_found() {
    finds(Flaw::ConsumerForgotten, "deadlock", false);
    finds_in(Flaw::ConsumerForgotten, "deadlock", |main| without_order(main, &IGNORED));
}

/// Seeded: the consumer begins an item that is not the next to be delivered.
#[test]
fn a_consumer_that_helps_ahead_is_found() {
    finds(Flaw::HelpsAhead, "what is to be delivered next", true);
}

/// Seeded: the consumer is not told that a runner was dropped.
#[test]
fn a_runner_dropped_untold_is_found() {
    finds_in(Flaw::DroppedUntold, "deadlock", |main| dropped_runner(main, &IGNORED, &IGNORED));
}

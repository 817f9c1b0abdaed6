//! Every place in the sources where an atomic operation or a fence stands is a *site*: known by file, line and column. Two
//! environment variables make use of that, both for `cargo weaken`, which checks the models:
//!
//! - `PURLOIN_WEAKEN=file:line:column:success:AcqRel:Acquire` weakens the ordering of one site for this process. The fourth
//!   part is `failure` for the second ordering of an exchange; the last one is `nothing` where a fence goes.
//! - `PURLOIN_SITES=path` has each test append to that file which sites it has executed, with which orderings, and which
//!   mistakes it had built in. What is executed with a mistake built in does not count.
//!
//! Neither is read in an ordinary run more than once.

use super::{Ordering, seeded_flaw};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::env;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::panic::Location;
use std::sync::OnceLock;

/// Which of an operation's orderings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Role {
    /// The only one, or that of an exchange that succeeds.
    Success,
    /// That of an exchange that fails.
    Failure,
}

/// One ordering weakened at one site.
#[derive(Debug)]
struct Weakened {
    file: String,
    line: u32,
    column: u32,
    role: Role,
    from: Ordering,
    /// `None`: the fence is not there.
    to: Option<Ordering>,
}

fn ordering(name: &str) -> Option<Ordering> {
    use Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
    [Relaxed, Release, Acquire, AcqRel, SeqCst].into_iter().find(|order| format!("{order:?}") == name)
}

impl Weakened {
    fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        let [file, line, column, role, from, to] = parts[..] else { return None };
        Some(Weakened {
            file: file.to_owned(),
            line: line.parse().ok()?,
            column: column.parse().ok()?,
            role: match role {
                "success" => Role::Success,
                "failure" => Role::Failure,
                _ => return None,
            },
            from: ordering(from)?,
            to: if to == "nothing" { None } else { Some(ordering(to)?) },
        })
    }

    fn is_at(&self, place: &Location<'_>) -> bool {
        self.line == place.line() && self.column == place.column() && place.file().ends_with(&self.file)
    }
}

fn weakened() -> Option<&'static Weakened> {
    static WEAKENED: OnceLock<Option<Weakened>> = OnceLock::new();
    let read = || {
        let text = env::var("PURLOIN_WEAKEN").ok()?;
        Some(
            Weakened::parse(&text)
                .unwrap_or_else(|| panic!("PURLOIN_WEAKEN is not a site and two orderings: {text:?}")),
        )
    };
    WEAKENED.get_or_init(read).as_ref()
}

fn list() -> Option<&'static File> {
    static LIST: OnceLock<Option<File>> = OnceLock::new();
    let open = || {
        let path = env::var_os("PURLOIN_SITES")?;
        let file = OpenOptions::new().create(true).append(true).open(&path);
        Some(file.unwrap_or_else(|error| panic!("PURLOIN_SITES: {}: {error}", path.display())))
    };
    LIST.get_or_init(open).as_ref()
}

/// Appends a line for the running test to the list, if there is one. One write, so lines of several processes don't mix.
pub fn note(what: &str) {
    let Some(mut list) = list() else { return };
    // The test harness names its threads after the tests.
    let thread = std::thread::current();
    let line = format!("{}\t{what}\n", thread.name().unwrap_or_default());
    list.write_all(line.as_bytes()).expect("the list of sites can be written");
}

std::thread_local! {
    /// What this test has noted. Each test has its own thread of the operating system.
    static NOTED: RefCell<HashSet<(&'static Location<'static>, Role, Ordering)>> = RefCell::default();
    /// The site that was looked at last, and is in `NOTED`.
    static LAST: Cell<Option<(&'static Location<'static>, Role, Ordering)>> = const { Cell::new(None) };
}

fn visit(place: &'static Location<'static>, role: Role, order: Ordering) {
    if list().is_none() {
        return;
    }
    let site = (place, role, order);
    if LAST.replace(Some(site)) == Some(site) || !NOTED.with_borrow_mut(|noted| noted.insert(site)) {
        return;
    }
    let (file, line, column) = (place.file(), place.line(), place.column());
    note(&format!(
        "site\t{file}:{line}:{column}\t{}\t{order:?}",
        if role == Role::Success { "success" } else { "failure" }
    ));
}

fn effective(place: &'static Location<'static>, role: Role, order: Ordering) -> Option<Ordering> {
    if seeded_flaw().is_some() {
        // A model plays a mistake or a weakening, not both.
        return Some(order);
    }
    visit(place, role, order);
    match weakened() {
        Some(weakened) if weakened.role == role && weakened.from == order && weakened.is_at(place) => weakened.to,
        _ => Some(order),
    }
}

/// The ordering that the operation of the caller's caller is to have.
#[track_caller]
pub(super) fn order(order: Ordering) -> Ordering {
    effective(Location::caller(), Role::Success, order).expect("only a fence can be left out")
}

/// The ordering of an exchange that fails.
#[track_caller]
pub(super) fn failure_order(order: Ordering) -> Ordering {
    effective(Location::caller(), Role::Failure, order).expect("only a fence can be left out")
}

/// loom's fence.
#[track_caller]
pub fn fence(order: Ordering) {
    if let Some(order) = effective(Location::caller(), Role::Success, order) {
        loom::sync::atomic::fence(order);
    }
}

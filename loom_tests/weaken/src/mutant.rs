//! Orderings, and what is weaker.

use crate::source::{Operation, Site};
use serde::Serialize;
use std::fmt;

/// A memory ordering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Order {
    Relaxed,
    Release,
    Acquire,
    AcqRel,
    SeqCst,
}

impl Order {
    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        use Order::{AcqRel, Acquire, Relaxed, Release, SeqCst};
        [Relaxed, Release, Acquire, AcqRel, SeqCst].into_iter().find(|order| format!("{order:?}") == name)
    }

    /// What stands one step below it at an operation of that kind. `None`: no fence.
    fn weaker(self, operation: Operation) -> Vec<Option<Order>> {
        use Order::{AcqRel, Acquire, Relaxed, Release, SeqCst};
        match (self, operation) {
            (Relaxed, _) => vec![],
            // loom takes a sequentially consistent access for one that acquires and releases: nothing lies between.
            (SeqCst, Operation::Load) => vec![Some(Relaxed)],
            (SeqCst, Operation::Store) => vec![Some(Relaxed)],
            (SeqCst, Operation::Fence) => vec![Some(AcqRel), None],
            (AcqRel | SeqCst, _) => vec![Some(Acquire), Some(Release)],
            (Acquire | Release, Operation::Fence) => vec![None],
            (Acquire | Release, _) => vec![Some(Relaxed)],
        }
    }
}

/// One ordering of one site, weakened.
#[derive(Debug, Clone)]
pub struct Mutant {
    pub site: Site,
    /// The ordering of an exchange that fails.
    pub on_failure: bool,
    pub from: Order,
    pub to: Option<Order>,
}

impl Mutant {
    /// All of a site that was executed with these orderings (the second is that of a failed exchange).
    pub fn all_of(site: &Site, orders: &[Order]) -> Vec<Mutant> {
        let each = orders.iter().enumerate().flat_map(|(index, &from)| {
            let operation = if index > 0 { Operation::Load } else { site.operation };
            let weaker = from.weaker(operation).into_iter();
            weaker.map(move |to| Mutant { site: site.clone(), on_failure: index > 0, from, to })
        });
        each.collect()
    }

    /// The value of `PURLOIN_WEAKEN`.
    pub fn variable(&self) -> String {
        let role = if self.on_failure { "failure" } else { "success" };
        let to = self.to.map_or_else(|| "nothing".to_owned(), |to| format!("{to:?}"));
        format!("{}:{role}:{:?}:{to}", self.site.place(), self.from)
    }
}

/// As the allow-list has it.
impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.on_failure {
            f.write_str("on failure ")?;
        }
        write!(f, "{:?} -> ", self.from)?;
        match self.to {
            Some(to) => write!(f, "{to:?}"),
            None => f.write_str("nothing"),
        }
    }
}

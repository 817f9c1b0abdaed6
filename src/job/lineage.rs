//! Whose a job is: the tree of who waits for whom.

use crate::cancel::Limit;
use std::ptr;

/// A node in the tree of who waits for whom: every job points to the one under which it was made. What descends from an
/// awaited job may be run by the thread that waits for it (leapfrogging, Wagner and Calder 1993).
///
/// A node is alive as long as any job below it is, since a job ends after all it made; so the holder of an unfinished
/// job may walk up from it.
#[derive(Debug)]
pub struct Lineage {
    parent: *const Lineage,
    /// What may end this part of the tree early; null for nothing.
    limit: *const Limit,
}

impl Lineage {
    /// A node below `parent`; null for a root.
    pub const fn below(parent: *const Lineage) -> Self {
        Lineage { parent, limit: ptr::null() }
    }

    /// The same with a limit, which must last as long as the node.
    pub const fn limited(parent: *const Lineage, limit: *const Limit) -> Self {
        Lineage { parent, limit }
    }

    /// Whether a limit of this node, or of one above it, is reached.
    ///
    /// # Safety
    ///
    /// This node and every one above it are alive: the caller runs, or holds, an unfinished job at this node.
    pub unsafe fn is_cancelled(&self) -> bool {
        let mut node: *const Lineage = self;
        // SAFETY: alive by the contract.
        while let Some(Lineage { parent, limit }) = unsafe { node.as_ref() } {
            // SAFETY: a limit lasts as long as its node.
            if unsafe { limit.as_ref() }.is_some_and(|limit| limit.reached().is_some()) {
                return true;
            }
            node = *parent;
        }
        false
    }

    /// Whether `ancestor` is a proper ancestor of this node.
    ///
    /// # Safety
    ///
    /// Every node above `self` is alive: the caller holds an unfinished job at this node.
    pub unsafe fn descends_from(&self, ancestor: *const Lineage) -> bool {
        let mut node = self.parent;
        while !node.is_null() {
            if node == ancestor {
                return true;
            }
            // SAFETY: alive by the contract.
            node = unsafe { &*node }.parent;
        }
        false
    }
}

/// A lineage as seen from a thread's stack: jobs at or above index `base` of its private end belong to it.
#[derive(Debug)]
pub struct Frame {
    pub base: usize,
    pub lineage: *const Lineage,
    pub outer: *const Frame,
}

//! The list of what may survive, with the reasons.

use serde::Deserialize;
use std::fs;
use std::path::Path;

/// What the list's file holds.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allowed {
    /// Weakened orderings that no model notices.
    #[serde(default)]
    pub survivor: Vec<Survivor>,
}

/// One weakened ordering.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Survivor {
    pub site: String,
    pub mutant: String,
    pub reason: String,
}

impl Allowed {
    /// Reads it.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Why that weakened ordering may survive.
    pub fn survivor(&self, site: &str, mutant: &str) -> Option<&str> {
        let found = self.survivor.iter().find(|entry| entry.site == site && entry.mutant == mutant);
        found.map(|entry| entry.reason.as_str())
    }
}

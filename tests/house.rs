//! The rules of the house, as far as a machine can check them: who imports whom, where primitives come from, how long a
//! file is, and that the book has a section for each module.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The modules, lowest first: each imports only from those before it. DESIGN.md has its sections in this order.
const ORDER: &[&str] = &[
    "primitive",
    "cancel",
    "error",
    "seat",
    "slab",
    "latch",
    "job",
    "sleep",
    "deque",
    "core",
    "registry",
    "worker",
    "wait",
    "fork",
    "search",
    "join",
    "stand_in",
    "task",
    "pile",
    "bag",
    "scope",
    "spawn",
    "thread",
    "blocking",
    "sync",
    "source",
    "progress",
    "options",
    "limited",
    "bounds",
    "map",
    "reduce",
    "window",
    "imap",
    "with",
    "stats",
    "watchdog",
    "builder",
    "pool",
    "loops",
    "here",
];

const LONGEST_FILE: usize = 400;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below `src`, with their text.
fn sources() -> Vec<(PathBuf, String)> {
    let folders = ["src", "src/job", "src/primitive", "src/registry", "src/scope", "src/sleep", "src/sync", "src/task"]
        .map(|folder| root().join(folder));
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).expect("a folder of the crate"));
    let paths = files.map(|entry| entry.expect("an entry").path()).filter(|path| path.extension().is_some());
    paths.map(|path| (path.clone(), fs::read_to_string(path).expect("a source file"))).collect()
}

/// The module that a file belongs to.
fn module(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src")).expect("a source file");
    let first = inside.components().next().expect("a name").as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// The code of a file: everything but comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(|line| line.split("//").next().unwrap_or(line))
}

#[test]
fn every_module_has_its_place() {
    let found: BTreeSet<String> = sources().iter().map(|(path, _)| module(path)).filter(|name| name != "lib").collect();
    let listed: BTreeSet<String> = ORDER.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(found, listed);
}

#[test]
fn imports_only_go_down() {
    for (path, text) in sources() {
        let name = module(&path);
        let Some(place) = ORDER.iter().position(|&other| other == name) else { continue };
        for line in code(&text) {
            for used in line.split("crate::").skip(1) {
                let used = used.split(|c: char| !c.is_alphanumeric() && c != '_').next().expect("a first part");
                if let Some(other) = ORDER.iter().position(|&other| other == used) {
                    assert!(other <= place, "{}: {name} imports {used}, which stands above it: {line}", path.display());
                }
            }
        }
    }
}

#[test]
fn primitives_come_through_the_facade() {
    let hidden = [
        "std::sync::atomic",
        "core::sync::atomic",
        "std::thread",
        "parking_lot",
        "crossbeam_",
        "loom::",
        "shuttle::",
        "Instant::now",
    ];
    for (path, text) in sources() {
        if module(&path) == "primitive" {
            continue;
        }
        for line in code(&text) {
            let found = hidden.iter().find(|name| line.contains(*name));
            assert!(found.is_none(), "{} goes round the facade: {line}", path.display());
        }
    }
}

/// Deadlines are told by a clock that nobody can set.
#[test]
fn no_clock_that_can_be_set() {
    for (path, text) in sources() {
        let found = code(&text).find(|line| line.contains("SystemTime") || line.contains("CLOCK_REALTIME"));
        assert!(found.is_none(), "{} asks a clock that can be set: {}", path.display(), found.unwrap_or_default());
    }
}

#[test]
fn no_file_is_too_long() {
    for (path, text) in sources() {
        // Documentation for users is not what makes a file hard to read.
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("///")).count();
        assert!(lines <= LONGEST_FILE, "{} has {lines} lines: two nouns in one room?", path.display());
    }
}

#[test]
fn the_book_has_a_section_for_each_module() {
    let book = fs::read_to_string(root().join("DESIGN.md")).expect("DESIGN.md");
    let headings: Vec<&str> = book.lines().filter(|line| line.starts_with('#')).collect();
    let mut places = ORDER.iter().map(|name| {
        let wanted = format!("`{name}`");
        let place = headings.iter().position(|heading| heading.contains(&wanted));
        place.unwrap_or_else(|| panic!("DESIGN.md has no section for {name}"))
    });
    let mut last = places.next().expect("modules");
    for place in places {
        assert!(last < place, "the sections of DESIGN.md are not in the modules' order: {}", headings[place]);
        last = place;
    }
}

/// Which test finds which mistake: `cargo weaken` sees that the tests do.
#[test]
fn the_book_has_each_mistake() {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect("a file of the crate");
    let (source, book) = (read("src/primitive/mod.rs"), read("DESIGN.md"));
    let (_, rest) = source.split_once("pub enum Flaw {\n").expect("the mistakes");
    let (flaws, _) = rest.split_once("\n}").expect("the end of the mistakes");
    let (_, table) = book.split_once("<!-- FLAWS -->").expect("the table of mistakes");
    let (table, _) = table.split_once("\n### ").expect("the section after it");
    let in_source: BTreeSet<String> =
        code(flaws).filter_map(|line| line.trim().strip_suffix(',')).map(|flaw| format!("| `{flaw}` |")).collect();
    let in_book: BTreeSet<String> = table
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split_inclusive('|').take(2).collect())
        .collect();
    assert_eq!(in_source, in_book);
}

#[test]
fn every_unsafe_block_is_argued() {
    for (path, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let opens = line.contains("unsafe {") || line.trim_start().starts_with("unsafe impl");
            if opens && !line.trim_start().starts_with("//") {
                let near = &lines[number.saturating_sub(6)..=number];
                assert!(near.iter().any(|line| line.contains("SAFETY:")), "{}:{}: {line}", path.display(), number + 1);
            }
        }
    }
}

/// The items of what users suffer from elsewhere. (19 was never given.)
const PAINS: &[u32] = &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20];

#[test]
fn the_tests_that_the_book_names_exist() {
    let book = fs::read_to_string(root().join("DESIGN.md")).expect("DESIGN.md");
    let (_, from) = book.split_once("<!-- PAINS -->").expect("the table of pains");
    let table = from.split_once("\n##").map_or(from, |(table, _)| table);
    let mut items = BTreeSet::new();
    for line in table.lines().filter(|line| line.starts_with('|')).skip(2) {
        items.extend(line.split('|').nth(1).and_then(|item| item.trim().parse::<u32>().ok()));
        let mut named = 0;
        for name in line.split('`').filter(|name| name.contains("::")) {
            let (file, test) = name.split_once("::").expect("a file and a test");
            let folders = ["tests", "tests/suite", "loom_tests/tests/models"]
                .map(|folder| root().join(folder).join(format!("{file}.rs")));
            let declared = format!("#[test]\nfn {test}()");
            let exists = folders.iter().any(|path| fs::read_to_string(path).is_ok_and(|text| text.contains(&declared)));
            assert!(exists, "there is no test {name}: {line}");
            named += 1;
        }
        assert!(named > 0, "no test: {line}");
    }
    assert_eq!(items, PAINS.iter().copied().collect());
}
